"""The page's table of cells: one row each, whatever became of it."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np

from harness.report.parts import budgets, display
from harness.report.quantities import QUANTITIES
from harness.report.source import Source
from harness.report.statistics import distinct, left_out

TEXTS = [
    "data",
    "model",
    "recipe",
    "attack",
    "rate",
    "target",
    "defense",
    "family",
    "needs",
    "budget",
    "seed",
]
NUMBERS = ["acc", "asr", "ra", "der", "rir", "arr", "rdr", "seconds", "peak_mem_mb"]


def cell_rows(source: Source) -> dict[str, Any]:
    """Return columns and rows, the smallest budget first.

    ``state`` is ok, gate (left out with its victim) or the status.
    """
    order = budgets(source.frame)
    cells = distinct(source.frame).sort_values(
        "budget", key=lambda column: column.map(order.index), kind="stable"
    )
    cells["state"] = left_out(cells).where(lambda reason: reason.ne(""), "ok")
    cells["rate"] = cells["rate"].map(lambda rate: f"{100 * rate:g} %")
    cells["defense"] = cells["defense"].map(display)
    cells["target"] = cells["target"].astype(str)
    columns = ["key", *TEXTS, "state", *NUMBERS, "victim"]
    rows = [[_plain(value) for value in row] for row in cells[columns].itertuples(index=False)]
    metrics = {name: [QUANTITIES[name].label, QUANTITIES[name].share] for name in NUMBERS}
    return {"columns": columns, "metrics": metrics, "rows": rows}


def _plain(value: Any) -> str | int | float | None:
    """Return a value as JSON has it: numbers with five digits, null for NaN."""
    if isinstance(value, float):
        return None if isnan(value) else float(f"{value:.5g}")
    return int(value) if isinstance(value, np.integer) else str(value)
