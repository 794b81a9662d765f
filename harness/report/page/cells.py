"""The page's table of cells: every planned one, finished or not."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import pandas as pd

from harness.plan.target import target_text
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.groups import budgets
from harness.report.frame.metric_info import QUANTITIES, rate_text
from harness.report.frame.report_data import ReportData
from harness.report.typeset.captions import column_label
from harness.store.record import Status

NUMBERS = ["acc", "asr", "ra", "der", "rir", "arr", "rdr", "seconds", "peak_mem_mb"]


def cell_columns(report: ReportData) -> dict[str, Any]:
    """Return the cells column by column, the smallest budget first: far smaller than row by row.

    ``texts`` has the values that occur in each column, and for every cell the index of its own;
    ``numbers`` has null for NaN. ``state`` is ok, gate (left out with its victim) or the status.
    """
    order = budgets(report.frame)
    cells = report.cells.sort_values(
        "budget", key=lambda column: column.map(order.index), kind="stable"
    )
    named = zip(cells["target"], cells["target_class"], strict=True)
    cells = cells.assign(
        state=cells["reason"], target=[target_text(target, name) for target, name in named]
    )
    formats = _formats(report.names)
    return {
        "keys": cells["key"].tolist(),
        "texts": {name: _encoded(cells[name], show) for name, show in formats.items()},
        "numbers": {
            name: _rounded(cells[name], 5 if QUANTITIES[name].share else 2) for name in NUMBERS
        },
        "metrics": {
            name: [column_label(name, report.cells), QUANTITIES[name].share] for name in NUMBERS
        },
    }


def _formats(names: DisplayNames) -> dict[str, Callable[[Any], str | int]]:
    """Return the columns of few values, and how each value is shown."""
    return {
        "data": str,
        "model": lambda label: names.of("model", label),
        "recipe": str,
        "attack": lambda label: names.of("attack", label),
        "rate": rate_text,
        "target": str,
        "defense": lambda label: names.of("defense", label),
        "family": str,
        "needs": str,
        "budget": str,
        "seed": int,
        "state": lambda reason: reason or str(Status.OK),
        "victim": str,
    }


def _encoded(column: pd.Series, show: Callable[[Any], str | int]) -> list[list[Any]]:
    indices, values = pd.factorize(column)
    return [[show(value) for value in values], indices.tolist()]


def _rounded(column: pd.Series, decimals: int) -> list[float | None]:
    return [
        None if isnan(value) else value for value in column.astype(float).round(decimals).tolist()
    ]
