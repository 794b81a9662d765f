"""The page's leaderboard: statistics over all attacks and poison rates, and for each of them alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.report.parts import NO_DEFENSE, SECTIONS, Part, budgets, display, privileged
from harness.report.quantities import METRICS, QUANTITIES
from harness.report.source import Source
from harness.report.statistics import REASONS, summarize

ALL = "all"
PLACE = ["data", "model", "recipe", "budget", "defense"]


def board_rows(source: Source) -> dict[str, Any]:
    """Return metrics (name, label, direction, whether a share) and rows: place, numbers, counts.

    A row's ``numbers`` has [mean, half of the interval] per metric, null where unknown. ``attack`` and
    ``rate`` are "all" in rows that pool them. Rows stand in board order.
    """
    rows = [row for part in source.parts for row in _part(part)]
    metrics = [[name, *QUANTITIES[name]] for name in METRICS]
    return {"metrics": metrics, "rows": rows}


def _part(part: Part) -> list[dict[str, Any]]:
    frame = part.frame
    table = pd.concat([_pooled(frame, pooled) for pooled in _poolings(frame)], ignore_index=True)
    about = frame.drop_duplicates("defense").set_index("defense")[["family", "needs"]].to_dict("index")
    sizes = frame.groupby("budget")["n_clean"].min().to_dict()
    lines: dict[tuple[Any, ...], list[dict[Any, Any]]] = defaultdict(list)
    for line in table.to_dict("records"):
        lines[tuple(line[name] for name in (*PLACE, "attack", "rate"))].append(line)
    rows = [
        {
            **{name: group[0][name] for name in (*PLACE, "attack", "rate")},
            **about[group[0]["defense"]],
            "clean": int(sizes[group[0]["budget"]]),
            **_numbers(group),
        }
        for group in lines.values()
    ]
    labels, apart = budgets(frame), privileged(frame)
    ordered = sorted(rows, key=lambda row: _rank(row, labels, apart))
    return [{**row, "defense": display(row["defense"])} for row in ordered]


def _poolings(frame: pd.DataFrame) -> list[list[str]]:
    """Return which of attack and rate to pool: both, each, none; a single rate is not worth a choice."""
    names = [name for name in ("attack", "rate") if frame[name].nunique() > 1]
    return [names, *[[name] for name in names if len(names) > 1], *[[]] * bool(names)]


def _pooled(frame: pd.DataFrame, pooled: list[str]) -> pd.DataFrame:
    kept = [name for name in ("attack", "rate") if name not in pooled]
    table = summarize(frame, [*PLACE, *kept], METRICS)
    if "rate" in kept:
        table["rate"] = table["rate"].map(lambda rate: f"{100 * rate:g} %")
    return table.assign(**dict.fromkeys(pooled, ALL))


def _numbers(lines: list[dict[Any, Any]]) -> dict[str, Any]:
    """Return one row's numbers, in order of METRICS, and the counts of ACC."""
    counts = lines[0]
    return {
        "numbers": [[_rounded(line["mean"]), _rounded(line["high"] - line["mean"])] for line in lines],
        "n": int(counts["n_cells"]),
        "planned": int(counts["n_planned"]),
        "out": {reason: int(counts[reason]) for reason in REASONS if counts[reason]},
    }


def _rank(row: dict[str, Any], labels: list[str], apart: Mapping[str, str]) -> tuple[Any, ...]:
    der = row["numbers"][METRICS.index("der")][0]
    defense = row["defense"]
    place = (labels.index(row["budget"]), SECTIONS.index(apart.get(defense, "")), defense != NO_DEFENSE)
    return (*place, 0.0 if der is None else -der, defense, row["attack"], row["rate"])


def _rounded(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.5g}")
