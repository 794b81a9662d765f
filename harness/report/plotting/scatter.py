"""Points with error bars, one per defense, one panel per budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    BoardGroup,
    budgets,
    panel_budgets,
    extra_access,
)
from harness.report.frame.metric_info import QUANTITIES
from harness.report.plotting.style import PAGE_WIDTH, RC, MethodStyle, legend_label, legend_below
from harness.report.stats.means import summarize

COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class AxesPair:
    """What is drawn against what."""

    x: str
    y: str
    finish: Callable[[Axes, pd.DataFrame], None]
    """Called with each panel and its points (columns as of ``points``), privileged methods left
    out."""


def points(part: BoardGroup, pair: AxesPair) -> pd.DataFrame:
    """Return one row per budget and defense: mean, low, high of x and y, and counts.

    Shares are in percent, and intervals end where the values do.
    """
    by = ["data", "model", "recipe", "budget", "defense"]
    table = summarize(part.frame, by, [pair.x, pair.y])
    numbers = ["mean", "low", "high"]
    sides = {}
    for metric in (pair.x, pair.y):
        side = table[table["metric"].eq(metric)].set_index(by)
        factor = 100 if QUANTITIES[metric].share else 1
        limits = (0, 100) if QUANTITIES[metric].share else (0, None)
        sides[metric] = (factor * side[numbers]).clip(*limits).add_prefix(f"{metric}_")
    counts = table[table["metric"].eq(pair.y)].set_index(by)[["n_seeds", "n_cells", "n_planned"]]
    return sides[pair.x].join(sides[pair.y]).join(counts).reset_index()


def draw(
    data: pd.DataFrame, part: BoardGroup, look: dict[str, MethodStyle], pair: AxesPair
) -> Figure | None:
    """Return the figure of ``points``, or None when no defense has a number to draw."""
    known = data.dropna(subset=[f"{pair.x}_mean", f"{pair.y}_mean"])
    seen = known[known["defense"].isin(look)]
    labels = panel_budgets([label for label in budgets(part.frame) if seen["budget"].eq(label).any()])
    if not labels:
        return None
    rows, columns = -(-len(labels) // COLUMNS), min(COLUMNS, len(labels))
    with mpl.rc_context(RC):
        width = PAGE_WIDTH * (columns + 0.5 * (columns == 1)) / COLUMNS
        figure = Figure(figsize=(max(width, 4.2), 2.2 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, label in zip(grid.flat, labels, strict=False):
            _panel(axes, known[known["budget"].eq(label)], part, look, pair)
            axes.set(title=label)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(labels))
            axes.yaxis.label.set_visible(place % columns == 0)
            axes.xaxis.set_tick_params(labelbottom=place + columns >= len(labels))
            axes.xaxis.label.set_visible(place + columns >= len(labels))
        legend_below(figure)
    return figure


def _panel(
    axes: Axes, rows: pd.DataFrame, part: BoardGroup, look: dict[str, MethodStyle], pair: AxesPair
) -> None:
    hollow = extra_access(part.frame)
    drawn = rows.sort_values("defense")
    styles = [_style(str(method), look) for method in drawn["defense"]]
    x, y = drawn[f"{pair.x}_mean"], drawn[f"{pair.y}_mean"]
    bars: dict[str, Any] = {
        "color": [style["color"] for style in styles],
        "linewidth": 0.6,
        "alpha": 0.45,
    }
    axes.hlines(y, drawn[f"{pair.x}_low"], drawn[f"{pair.x}_high"], **bars)
    axes.vlines(x, drawn[f"{pair.y}_low"], drawn[f"{pair.y}_high"], **bars)
    for method, style, *place in zip(drawn["defense"], styles, x, y, strict=True):
        axes.plot(*place, label=legend_label(method, hollow), zorder=3, **style)
    pair.finish(axes, rows[~rows["defense"].isin(hollow)])


def _style(method: str, look: dict[str, MethodStyle]) -> dict[str, Any]:
    if method == NO_DEFENSE:
        return {"color": "0.35", "marker": "x", "linestyle": "", "markeredgewidth": 1.2}
    return {**look[method].line(), "linestyle": ""}
