"""Counts how often a program waits for the GPU, by the line of ours that made it wait."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[3]
OURS = tuple(f"{ROOT / folder}/" for folder in ("harness", "attacks", "defenses"))


class Syncs(Counter[str]):
    """Numbers of synchronisations, by line and kind."""

    _forbidden = False

    def add(self, kind: str) -> None:
        """Count one.

        Raises:
            RuntimeError: where none is allowed.
        """
        if self._forbidden:
            raise RuntimeError(f"not permitted while a graph is recorded: {_line()}: {kind}")
        self[f"{_line()}: {kind}"] += 1

    @contextmanager
    def forbidden(self) -> Iterator[None]:
        """Allow none inside the block, as while CUDA records a graph."""
        self._forbidden = True
        try:
            yield
        finally:
            self._forbidden = False

    def since(self, before: Counter[str]) -> Counter[str]:
        """Return those that have been added since a copy was made."""
        return Counter(self) - before


def _line() -> str:
    """Return the innermost line of ours on the stack, else that of the test."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OURS):
            return f"{Path(file).relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
