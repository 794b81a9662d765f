"""The steps that a method logs, as a record keeps them."""

from __future__ import annotations

from harness.store.record import safe_text

MOST_SCALARS = 400
"""The most logged steps that a record keeps: of a longer log, steps at even distances."""


def kept_steps(scalars: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return at most MOST_SCALARS steps, without values that JSON can't hold (NaN, infinity)."""
    stride = -(-len(scalars) // MOST_SCALARS) or 1
    return [
        {safe_text(k, 200): x for k, x in row.items() if abs(x) < float("inf")}
        for row in scalars[::stride]
    ]
