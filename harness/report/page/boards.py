"""The page's leaderboard: statistics over all attacks and poison rates, and for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.metric_info import METRICS, QUANTITIES, rate_text
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import REASONS, summarize
from harness.report.typeset.captions import column_label
from harness.report.typeset.crosstab import cell_texts
from harness.report.typeset.table import BestText

ALL = "all"
UNRANKED = {"peak_mem_mb"}
"""Metrics whose differences are noise: none is marked as the best."""
KEYS = [*GROUP, "budget", "defense"]


def board_rows(report: ReportData, board: pd.DataFrame) -> dict[str, Any]:
    """Return metrics (name, label, direction, whether a share), and rows in the board's order.

    A row has the group, budget and defense, ``numbers`` with [mean, half of the interval] per
    metric, null if unknown, counts, and in which metrics it is ``best``. ``attack`` and ``rate``
    are "all" in rows that pool them. ``board`` are the leaderboard's numbers.
    """
    rows = [row for group in report.groups for row in _group_rows(group, group.only(board))]
    metrics = [[name, column_label(name, report.cells), *QUANTITIES[name][1:3]] for name in METRICS]
    return {"metrics": metrics, "rows": rows}


def _group_rows(group: BoardGroup, board: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a group; the leaderboard's numbers decide the order of the defenses."""
    cells = group.frame
    places = board.drop_duplicates(["budget", "defense"])[["budget", "defense"]]
    place = {pair: at for at, pair in enumerate(places.itertuples(index=False, name=None))}
    defenses = cells.drop_duplicates("defense").set_index("defense")
    about = defenses[["family", "needs"]].to_dict("index")
    n_clean = cells.groupby("budget")["n_clean"].min().to_dict()
    rows = [
        {**row, **about[row["defense"]], "clean": int(n_clean[row["budget"]])}
        for pooled in _poolings(cells)
        for row in _pooled_rows(group, pooled)
    ]
    rows.sort(key=lambda row: (place[row["budget"], row["defense"]], row["attack"], row["rate"]))
    shown = ("defense", "attack", "model")
    return [
        {**row, **{column: group.names.of(column, row[column]) for column in shown}} for row in rows
    ]


def _poolings(cells: pd.DataFrame) -> list[list[str]]:
    """Return which of attack and rate to pool: both, each, none; only those with several values."""
    names = [name for name in ("attack", "rate") if cells[name].nunique(dropna=False) > 1]
    if len(names) == 2:
        return [names, ["attack"], ["rate"], []]
    return [names, []] if names else [[]]


def _pooled_rows(group: BoardGroup, pooled: list[str]) -> Iterator[dict[str, Any]]:
    """Yield rows with their numbers, in order of METRICS, and the counts of the first one, ACC."""
    split = [name for name in ("attack", "rate") if name not in pooled]
    summary = summarize(group.frame, [*KEYS, *split], METRICS)
    texts = cell_texts(summary, group.extra_access, group.paper.margin)
    best = np.array([isinstance(text, BestText) for text in texts]).reshape(len(METRICS), -1).T
    half = summary["high"] - summary["mean"]
    numbers = np.stack([summary["mean"], half], axis=1).reshape(len(METRICS), -1, 2)
    lines = summary[: numbers.shape[1]].to_dict("records")
    for line, line_numbers, marks in zip(lines, numbers.swapaxes(0, 1).tolist(), best, strict=True):
        yield {
            **{name: line[name] for name in KEYS},
            "attack": ALL if "attack" in pooled else line["attack"],
            "rate": ALL if "rate" in pooled else rate_text(line["rate"]),
            "numbers": [[_rounded(mean), _rounded(half)] for mean, half in line_numbers],
            "best": [at for at in np.flatnonzero(marks).tolist() if METRICS[at] not in UNRANKED],
            "n": line["n_cells"],
            "planned": line["n_planned"],
            "out": {reason: line[reason] for reason in REASONS if line[reason]},
        }


def _rounded(value: float) -> float | None:
    return None if isnan(value) else float(f"{value:.5g}")
