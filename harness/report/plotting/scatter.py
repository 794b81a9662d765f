"""Points with error bars, one per defense, one panel per budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing
from harness.report.frame.groups import GROUP, BoardGroup, budgets_note
from harness.report.frame.metric_info import QUANTITIES
from harness.report.plotting.alt_text import summary_text
from harness.report.plotting.style import TITLE_Y, MethodStyle, legend_below, print_width
from harness.report.stats.means import summarize_bands

PANELS_PER_ROW = 3


@dataclass(frozen=True, kw_only=True)
class AxesPair:
    """What is drawn against what."""

    x: str
    """A metric, as is y."""
    y: str
    finish: Callable[[Axes, pd.DataFrame], None]
    """Called with each panel and its points (columns as of ``points``), without the methods that
    have extra access."""


def points(group: BoardGroup, pair: AxesPair) -> pd.DataFrame:
    """Return one row per budget and defense: mean, low, high of x and y, and counts.

    Shares are in percent, and intervals end at 0 and 100.
    """
    by = [*GROUP, "budget", "defense"]
    summary = summarize_bands(group.frame, by, [pair.x, pair.y])
    numbers = {}
    for metric in (pair.x, pair.y):
        rows = summary[summary["metric"].eq(metric)].set_index(by)[["mean", "low", "high"]]
        share = QUANTITIES[metric].share
        rows = (100 * rows).clip(0, 100) if share else rows.clip(0)
        numbers[metric] = rows.add_prefix(f"{metric}_")
    counts = summary[summary["metric"].eq(pair.y)].set_index(by)
    counts = counts[["n_seeds", "n_cells", "n_planned"]]
    return numbers[pair.x].join(numbers[pair.y]).join(counts).reset_index()


def _alt_text(data: pd.DataFrame, group: BoardGroup, pair: AxesPair) -> str:
    """Return the ranges of ``points`` at the largest budget."""
    parts = []
    for metric in (pair.x, pair.y):
        unit = 100 if QUANTITIES[metric].share else 1
        means = data[f"{metric}_mean"].astype(float) / unit
        parts.append(data[["budget", "defense"]].assign(metric=metric, mean=means))
    return summary_text(pd.concat(parts), group)


def scatter(
    data: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle], pair: AxesPair
) -> Drawing:
    """Return ``points`` as drawn, with a panel per budget at which a defense has both numbers."""
    known = data.dropna(subset=[f"{pair.x}_mean", f"{pair.y}_mean"])
    defended = known[known["defense"].isin(styles)]
    with_numbers = group.budgets_in(defended)
    budgets = group.panel_budgets(with_numbers)
    return Drawing(
        data=data,
        figure=_draw(known, group, styles, pair, budgets) if budgets else None,
        alt=_alt_text(data, group, pair),
        note=budgets_note(budgets, with_numbers),
    )


def _draw(
    known: pd.DataFrame,
    group: BoardGroup,
    styles: dict[str, MethodStyle],
    pair: AxesPair,
    budgets: list[str],
) -> Figure:
    rows = -(-len(budgets) // PANELS_PER_ROW)
    columns = -(-len(budgets) // rows)
    width = print_width(group.paper, known["defense"].nunique(), wide=columns > 1)
    fig = Figure(figsize=(width, 2.2 * rows), layout="constrained")
    grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, budget in zip(grid.flat, budgets, strict=False):
        _draw_panel(axes, known[known["budget"].eq(budget)], group, styles, pair)
        axes.set_title(budget, y=TITLE_Y)
    for index, axes in enumerate(grid.flat):
        lowest = index + columns >= len(budgets)
        axes.set_visible(index < len(budgets))
        axes.yaxis.label.set_visible(index % columns == 0)
        axes.xaxis.set_tick_params(labelbottom=lowest)
        axes.xaxis.label.set_visible(lowest)
    drawn = known[known["budget"].isin(budgets)]
    for metric, set_limits in ((pair.x, grid[0, 0].set_xlim), (pair.y, grid[0, 0].set_ylim)):
        if QUANTITIES[metric].share:
            set_limits(
                share_limits(drawn[[f"{metric}_{name}" for name in ("mean", "low", "high")]])
            )
    legend_below(fig)
    return fig


def share_limits(percent: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis around all numbers, in percent: a margin more, within 0 to 100."""
    low, high = float(percent.min().min()), float(percent.max().max())
    margin = max(1.0, 0.05 * (high - low))
    return max(0.0, low - margin), min(100.0, high + margin)


def _draw_panel(
    axes: Axes,
    rows: pd.DataFrame,
    group: BoardGroup,
    styles: dict[str, MethodStyle],
    pair: AxesPair,
) -> None:
    drawn = rows.sort_values("defense")
    point_styles = [_point_style(str(defense), styles) for defense in drawn["defense"]]
    x, y = drawn[f"{pair.x}_mean"], drawn[f"{pair.y}_mean"]
    bars: dict[str, Any] = {
        "color": [style["color"] for style in point_styles],
        "linewidth": 0.6,
        "alpha": 0.45,
    }
    axes.hlines(y, drawn[f"{pair.x}_low"], drawn[f"{pair.x}_high"], **bars)
    axes.vlines(x, drawn[f"{pair.y}_low"], drawn[f"{pair.y}_high"], **bars)
    for defense, style, at_x, at_y in zip(drawn["defense"], point_styles, x, y, strict=True):
        axes.plot(at_x, at_y, label=group.legend_label(str(defense)), clip_on=False, **style)
    pair.finish(axes, rows[~rows["defense"].isin(group.extra_access)])


def _point_style(defense: str, styles: dict[str, MethodStyle]) -> dict[str, Any]:
    if defense == NO_DEFENSE:
        return {
            "color": "0.35",
            "marker": "x",
            "linestyle": "",
            "markeredgewidth": 1.2,
            "zorder": 3,
        }
    return {**styles[defense].line(), "linestyle": ""}
