"""A study's ASR and ACC against published ones: how far two protocols agree."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, number
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import MethodStyle, legend_below, method_styles, print_width
from harness.report.stats.published_means import published_means

DRAWN = ("asr", "acc")


@figure(title="Published numbers, {group}", invertible=True)
def published(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw a group's means at its largest budget that have a published counterpart."""
    compared = report.once(published_means)
    rows = group.only(compared.rows)
    if rows.empty:
        return None
    budget = group.largest(group.budgets_in(rows))
    rows = rows[rows["budget"].eq(budget)]
    caption = (
        f"Each point is a defense on an attack at one poison rate: ours at {budget} against the "
        f"published number, percent; on the line both agree. {compared.protocol} "
        f"{compared.left_out()}"
    )
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    return Drawing(data=rows, figure=draw(rows, group, styles), caption=caption, alt=_seen(rows))


def _seen(rows: pd.DataFrame) -> str:
    """Return how far ours are from the published numbers."""
    gaps = {name: rows[name] - rows[f"published_{name}"] for name in DRAWN}
    means = (
        f"{QUANTITIES[name].label} by {number(gap.mean())}, from {number(gap.min())} to "
        f"{number(gap.max())} points"
        for name, gap in gaps.items()
    )
    return f"Ours differ from the published numbers on average in {'; in '.join(means)}."


def draw(rows: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle]) -> Figure:
    """Return the figure: a panel per metric."""
    fig = Figure(
        figsize=(print_width(group.paper, rows["defense"].nunique(), wide=True), 3.2),
        layout="constrained",
    )
    for axes, metric in zip(fig.subplots(1, len(DRAWN)), DRAWN, strict=True):
        _draw_panel(axes, rows, group, styles, metric)
    legend_below(fig)
    return fig


def _draw_panel(
    axes: Axes,
    rows: pd.DataFrame,
    group: BoardGroup,
    styles: dict[str, MethodStyle],
    metric: str,
) -> None:
    least = 10 * (float(rows[[metric, f"published_{metric}"]].min().min()) // 10)
    axes.plot([least, 100], [least, 100], color="0.6", linewidth=0.8, zorder=1)
    for defense, points in rows.groupby("defense"):
        name = str(defense)
        style = (
            {"color": "0.35", "marker": "x"} if name == NO_DEFENSE else dict(styles[name].line())
        )
        style |= {"linestyle": "", "label": group.legend_label(name)}
        axes.plot(points[f"published_{metric}"], points[metric], **style)
    label = QUANTITIES[metric].label
    ends = (least - 4, 104)
    axes.set(xlabel=f"published {label} (%)", ylabel=f"our {label} (%)", xlim=ends, ylim=ends)
    axes.set_aspect("equal")
