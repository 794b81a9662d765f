"""The page's leaderboard: statistics over all attacks and poison rates, and for each of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    SECTIONS,
    BoardGroup,
    budgets,
    display,
    extra_access,
)
from harness.report.frame.metric_info import METRICS, QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import REASONS, summarize

ALL = "all"
PLACE = ["data", "model", "recipe", "budget", "defense"]


def board_rows(source: ReportData) -> dict[str, Any]:
    """Return metrics (name, label, direction, whether a share) and rows: place, numbers, counts.

    A row's ``numbers`` has [mean, half of the interval] per metric, null where unknown. ``attack``
    and ``rate`` are "all" in rows that pool them. Rows stand in board order.
    """
    rows = [row for part in source.parts for row in _part(part)]
    metrics = [[name, *QUANTITIES[name]] for name in METRICS]
    return {"metrics": metrics, "rows": rows}


def _part(part: BoardGroup) -> list[dict[str, Any]]:
    frame = part.frame
    about = (
        frame.drop_duplicates("defense").set_index("defense")[["family", "needs"]].to_dict("index")
    )
    sizes = frame.groupby("budget")["n_clean"].min().to_dict()
    rows = [
        {**row, **about[row["defense"]], "clean": int(sizes[row["budget"]])}
        for pooled in _poolings(frame)
        for row in _pooled(frame, pooled)
    ]
    labels, apart = budgets(frame), extra_access(frame)
    ordered = sorted(rows, key=lambda row: _rank(row, labels, apart))
    return [{**row, "defense": display(row["defense"])} for row in ordered]


def _poolings(frame: pd.DataFrame) -> list[list[str]]:
    """Return which of attack and rate to pool: both, each, none; a single rate is not worth a choice."""
    names = [name for name in ("attack", "rate") if frame[name].nunique() > 1]
    return [names, *[[name] for name in names if len(names) > 1], *[[]] * bool(names)]


def _pooled(frame: pd.DataFrame, pooled: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one row per place: its numbers, in order of METRICS, and the counts of ACC, the first of them."""
    kept = [name for name in ("attack", "rate") if name not in pooled]
    table = summarize(frame, [*PLACE, *kept], METRICS)
    half = table["high"] - table["mean"]
    numbers = np.stack([table["mean"], half], axis=1).reshape(len(METRICS), -1, 2)
    lines = table[: numbers.shape[1]].to_dict("records")
    for line, of_line in zip(lines, numbers.swapaxes(0, 1).tolist(), strict=True):
        yield {
            **{name: line[name] for name in PLACE},
            "attack": ALL if "attack" in pooled else line["attack"],
            "rate": ALL if "rate" in pooled else f"{100 * line['rate']:g} %",
            "numbers": [[_rounded(mean), _rounded(half)] for mean, half in of_line],
            "n": line["n_cells"],
            "planned": line["n_planned"],
            "out": {reason: line[reason] for reason in REASONS if line[reason]},
        }


def _rank(row: dict[str, Any], labels: list[str], apart: Mapping[str, str]) -> tuple[Any, ...]:
    der = row["numbers"][METRICS.index("der")][0]
    defense = row["defense"]
    place = (
        labels.index(row["budget"]),
        SECTIONS.index(apart.get(defense, "")),
        defense != NO_DEFENSE,
    )
    return (*place, 0.0 if der is None else -der, defense, row["attack"], row["rate"])


def _rounded(value: float) -> float | None:
    return None if isnan(value) else float(f"{value:.5g}")
