"""The critical-difference diagram: mean ranks, and bars over defenses that do not differ.

Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), with
pairwise Wilcoxon tests under Holm's correction in place of Nemenyi's, as Benavoli, Corani and
Mangili, "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17 (2016), advise: the
verdict on a pair then depends on the other defenses only through the size of the family.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import print_width
from harness.report.stats.paired_tests import SIGNIFICANT, comparisons, competitors, ranks

LINE_HEIGHT = 0.17
"""Inches."""
MOST_TICKS = 10
Cliques = list[tuple[int, int]]
"""Index of the first and of the last defense of each, in the order of the ranking."""


def _everything(report: ReportData) -> list[BoardGroup]:
    return [BoardGroup("", "", report.attacked, report.names, report.paper)]


@figure(title="Critical differences", groups=_everything, invertible=True)
def critical(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw one diagram of all data sets, models and attacks, if two defenses are ranked."""
    cells, metric = competitors(group.frame), report.ranked_metric
    data = ranks(cells, metric)
    if len(data) < 2:
        return None
    joined = cliques(data["defense"].tolist(), comparisons(cells, metric))
    caption = (
        f"Mean ranks by {QUANTITIES[metric].label} on {data['n_victims'].iloc[0]} victims on which "
        "every defense here finished; 1 is best. A bar joins defenses of which no two differ "
        "significantly (Wilcoxon signed-rank over victims, Holm's correction, level "
        f"{SIGNIFICANT:g}). Oracle methods take no part."
    )
    places = (
        f"{group.legend_label(x)} {rank:.2f}" for x, rank in data[["defense", "rank"]].to_numpy()
    )
    alt = f"{', '.join(places)}; bars: {len(joined)}."
    return Drawing(data=data, figure=draw(data, joined, group), caption=caption, alt=alt)


def cliques(order: list[str], pairs: pd.DataFrame) -> Cliques:
    """Return the longest runs of the ranking in which no two defenses differ significantly."""
    significant = pairs[pairs["p_holm"].lt(SIGNIFICANT)]
    different = set(map(frozenset, significant[["first", "second"]].itertuples(index=False)))
    runs: Cliques = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not any(
            frozenset((name, order[last + 1])) in different for name in order[first : last + 1]
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def draw(data: pd.DataFrame, joined: Cliques, group: BoardGroup) -> Figure:
    """Return the diagram: rank axis on top, names on both sides, bars below the axis."""
    defenses = [group.names.of("defense", label) for label in data["defense"]]
    rank = data["rank"].to_numpy()
    n_left = -(-len(defenses) // 2)
    depths = bar_depths(joined)
    top = 0.5 * (1 + max(depths, default=0)) + 0.7
    n_lines = top + n_left - 0.4  # half a line below the last name
    width = print_width(group.paper, len(defenses), wide=False)
    fig = Figure(figsize=(width, 0.42 + LINE_HEIGHT * n_lines), layout="constrained")
    axes = fig.subplots()
    _draw_axis(axes, max(2.0, float(np.ceil(rank[-1]))), n_lines)
    for depth, (first, last) in zip(depths, joined, strict=True):
        _draw_bar(axes, rank[first], rank[last], 0.6 + 0.5 * depth)
    for i, name in enumerate(defenses):
        left = i < n_left
        line = top + (i if left else len(defenses) - 1 - i)
        text = f"{name} {rank[i]:.2f}" if left else f"{rank[i]:.2f} {name}"
        _draw_name(axes, text, rank[i], line, left=left, size=group.paper.small_size)
    return fig


def bar_depths(joined: Cliques) -> list[int]:
    """Return the depth of each bar: the highest line on which it touches no other."""
    ends: list[int] = []  # the last index that each line reaches
    depths = []
    for first, last in joined:
        depth = next((line for line, end in enumerate(ends) if end < first), len(ends))
        ends[depth : depth + 1] = [last]
        depths.append(depth)
    return depths


def _draw_axis(axes: Axes, high: float, n_lines: float) -> None:
    axes.set(xlim=(1.0, high), ylim=(n_lines, 0))
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, int(high) + 1, -(-int(high) // MOST_TICKS)))
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.grid(visible=False)


def _draw_bar(axes: Axes, first: float, last: float, depth: float) -> None:
    reach = 0.006 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    axes.plot(
        [first - reach, last + reach],
        [depth] * 2,
        color="0.25",
        linewidth=2.4,
        solid_capstyle="round",
        clip_on=False,
    )


def _draw_name(
    axes: Axes, text: str, rank: float, depth: float, *, left: bool, size: float
) -> None:
    """Draw the elbow from the axis to a name at the side."""
    edge = axes.get_xlim()[0 if left else 1]
    axes.plot([rank, rank, edge], [0, depth, depth], color="0.55", linewidth=0.6, clip_on=False)
    axes.annotate(
        text,
        (edge, depth),
        xytext=(-3 if left else 3, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=size,
        annotation_clip=False,
    )
