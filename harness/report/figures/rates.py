"""Poison-rate curves: ACC, ASR and RA against the poison rate, one row of panels per budget."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup, panel_budgets
from harness.report.frame.report_data import ReportData
from harness.report.plotting.curves import PANELS, axis_start, draw_curves
from harness.report.plotting.style import (
    MethodStyle,
    legend_below,
    method_styles,
)
from harness.report.stats.means import summarize_bands


@figure(
    title="Poison rates, {group}",
    caption="Means over attacks and seeds, against the poison rate, with the 95 % intervals of "
    "three repeats or more; one row per clean budget, six at most. "
    "The dashed line is the undefended model.",
)
def rates(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw a group that was attacked at two poison rates or more.

    Victims whose rate is unknown, as that of an imported one can be, are left out.
    """
    group = replace(group, frame=group.frame[group.frame["rate"].gt(0)])
    if group.frame["rate"].nunique() < 2:
        return None
    data = rate_data(group)
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    return Drawing(data=data, figure=draw(data, group, styles))


def rate_data(group: BoardGroup) -> pd.DataFrame:
    """Return the statistics (shares) per budget, poison rate, defense and metric."""
    by = [*GROUP, "defense", "budget", "rate"]
    summary = summarize_bands(group.frame, by, list(PANELS))
    return summary.sort_values(["defense", "metric", "budget", "rate"])


def draw(data: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle]) -> Figure | None:
    """Return the figure of ``rate_data``, or None when there is no number to draw."""
    known = data[data["defense"].isin(styles) & data["mean"].notna()]
    budgets = panel_budgets([label for label in group.budgets if known["budget"].eq(label).any()])
    if not budgets:
        return None
    fig = Figure(figsize=(group.paper.page_inches, 0.3 + 1.75 * len(budgets)), layout="constrained")
    grid = fig.subplots(len(budgets), 3, squeeze=False, sharex=True)
    for budget, row in zip(budgets, grid, strict=True):
        for axes, (metric, name) in zip(row, PANELS.items(), strict=True):
            rows = data[data["budget"].eq(budget) & data["metric"].eq(metric)]
            draw_curves(axes, rows.assign(x=100 * rows["rate"]), styles, group)
            axes.set(title=f"{name} (%), {budget}", ylim=(axis_start(data, metric), 100))
    for axes in grid[-1]:
        axes.set_xlabel("poison rate (%)")
    legend_below(fig)
    return fig
