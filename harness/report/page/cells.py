"""The page's table of cells: every one, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import pandas as pd

from harness.report.frame.groups import budgets, display
from harness.report.frame.metric_info import QUANTITIES
from harness.report.frame.report_data import ReportData

TEXTS: dict[str, Callable[[Any], str | int]] = {
    "data": str,
    "model": str,
    "recipe": str,
    "attack": str,
    "rate": lambda rate: f"{100 * rate:g} %",
    "target": str,
    "defense": display,
    "family": str,
    "needs": str,
    "budget": str,
    "seed": int,
    "state": lambda reason: reason or "ok",
    "victim": str,
}
"""Columns of few values, and how each value is shown."""
NUMBERS = ["acc", "asr", "ra", "der", "rir", "arr", "rdr", "seconds", "peak_mem_mb"]


def cell_columns(source: ReportData) -> dict[str, Any]:
    """Return the cells column by column, the smallest budget first: a fraction of the size of rows.

    ``texts`` has the values that occur in each column, and for every cell the place of its own;
    ``numbers`` has null where there is none. ``state`` is ok, gate (left out with its victim) or
    the status.
    """
    order = budgets(source.frame)
    cells = source.cells.sort_values(
        "budget", key=lambda column: column.map(order.index), kind="stable"
    )
    cells = cells.assign(state=cells["reason"])
    return {
        "keys": cells["key"].tolist(),
        "texts": {name: _coded(cells[name], show) for name, show in TEXTS.items()},
        "numbers": {
            name: _rounded(cells[name], 5 if QUANTITIES[name].share else 2) for name in NUMBERS
        },
        "metrics": {name: [QUANTITIES[name].label, QUANTITIES[name].share] for name in NUMBERS},
    }


def _coded(column: pd.Series, show: Callable[[Any], str | int]) -> list[list[Any]]:
    places, values = pd.factorize(column)
    return [[show(value) for value in values], places.tolist()]


def _rounded(column: pd.Series, decimals: int) -> list[float | None]:
    return [
        None if isnan(value) else value for value in column.astype(float).round(decimals).tolist()
    ]
