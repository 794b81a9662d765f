"""The critical-difference diagram: mean ranks, and bars over what no test tells apart.

Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), with
pairwise Wilcoxon tests under Holm's correction in place of Nemenyi's, as Benavoli, Corani and
Mangili, "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17 (2016), advise: a
pair's verdict then does not depend on which others are in the pool, but for the size of the family.
"""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.frame.report_data import ReportData
from harness.report.plotting.figure import ReportFigure
from harness.report.plotting.style import RC
from harness.report.stats.paired_tests import SIGNIFICANT, comparisons, competitors, ranks

METRIC = "der"
WIDTH = 5.0
STEP = 0.17
"""Inches between two lines."""
Groups = list[tuple[int, int]]


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure over all data sets, models, attacks and budgets, if two defenses can be ranked."""
    cells = competitors(source.attacked)
    found = ranks(cells, METRIC)
    if len(found) < 2:
        return
    groups = cliques(found["defense"].tolist(), comparisons(cells, METRIC))
    caption = (
        f"Mean ranks by DER on {found['n_victims'].iloc[0]} victims on which every defense here finished; 1 "
        "is best. A bar joins defenses of which no two differ significantly (Wilcoxon signed-rank over "
        "victims, "
        f"Holm's correction, level {SIGNIFICANT:g}). Oracle methods take no part."
    )
    yield ReportFigure("critical", "Critical differences", caption, found, draw(found, groups))


def cliques(order: list[str], pairs: pd.DataFrame) -> Groups:
    """Return the longest runs of the ranking (first and last place) in which no pair differs for sure."""
    sure = pairs[pairs["p_holm"].lt(SIGNIFICANT)]
    apart = {frozenset(pair) for pair in sure[["first", "second"]].itertuples(index=False)}
    runs: Groups = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not _any_apart(
            order[first : last + 1], order[last + 1], apart
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _any_apart(group: list[str], other: str, apart: set[frozenset[str]]) -> bool:
    return any(frozenset((name, other)) in apart for name in group)


def draw(found: pd.DataFrame, groups: Groups) -> Figure:
    """Return the diagram: rank axis on top, names on both sides, bars below the axis."""
    names, places = found["defense"].tolist(), found["rank"].to_numpy()
    half = -(-len(names) // 2)
    with mpl.rc_context(RC):
        levels = _levels(groups)
        top = 0.5 * (1 + max(levels, default=0)) + 0.7
        lines = top + half
        figure = Figure(figsize=(WIDTH, 0.42 + STEP * lines), layout="constrained")
        axes = figure.subplots()
        low, high = 1.0, max(2.0, float(np.ceil(places[-1])))
        axes.set(xlim=(low, high), ylim=(lines, 0))
        axes.xaxis.tick_top()
        axes.set_xticks(np.unique(np.linspace(low, high, min(10, int(high))).round()))
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.spines["top"].set_visible(True)
        axes.grid(visible=False)
        for level, (first, last) in zip(levels, groups, strict=True):
            _bar(axes, places[first], places[last], 0.6 + 0.5 * level)
        for place, (name, rank) in enumerate(zip(names, places, strict=True)):
            left = place < half
            depth = top + (place if left else len(names) - 1 - place)
            _name(
                axes,
                f"{rank:.2f} {name}" if not left else f"{name} {rank:.2f}",
                rank,
                depth,
                left=left,
            )
    return figure


def _levels(groups: Groups) -> list[int]:
    """Return the depth of each bar: the highest at which it touches no other."""
    ends: list[int] = []  # the last place that each level reaches
    found = []
    for first, last in groups:
        level = next((at for at, end in enumerate(ends) if end < first), len(ends))
        ends[level : level + 1] = [last]
        found.append(level)
    return found


def _bar(axes: Axes, first: float, last: float, depth: float) -> None:
    reach = 0.006 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    axes.plot(
        [first - reach, last + reach],
        [depth] * 2,
        color="0.25",
        linewidth=2.4,
        solid_capstyle="round",
        clip_on=False,
    )


def _name(axes: Axes, text: str, rank: float, depth: float, *, left: bool) -> None:
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
        fontsize=7,
        annotation_clip=False,
    )
