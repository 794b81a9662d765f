"""Poison-rate curves: ACC, ASR and RA against the poison rate, one row of panels per budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup, budgets_note
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import summary_text
from harness.report.plotting.curves import PANELS, axis_start, draw_curves
from harness.report.plotting.style import (
    LEGEND_PER_METHOD,
    TALLEST,
    TITLE_Y,
    MethodStyle,
    legend_below,
    method_styles,
)
from harness.report.stats.means import summarize_bands

ROW_HEIGHT = 1.75
"""Inches, of the panels of a budget."""


@figure(
    title="Poison rates, {group}",
    caption="Means over attacks and seeds, against the poison rate, with the 95 % intervals of "
    "three repeats or more; one row per clean budget. The dashed line is the undefended model. "
    "Every point is over the same attacks.",
    invertible=True,
)
def rates(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw the attacks that have the same two poison rates or more."""
    frame, others = at_same_rates(group.frame)
    if frame.empty:
        return None
    group = replace(group, frame=frame)
    data = rate_data(group)
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    named = ", ".join(group.names.of("attack", label) for label in others)
    known = data[data["defense"].isin(styles) & data["mean"].notna()]
    with_numbers = group.budgets_in(known)
    room = TALLEST - 0.3 - LEGEND_PER_METHOD * known["defense"].nunique()
    budgets = group.panel_budgets(with_numbers, room / ROW_HEIGHT)
    notes = [f"{named} left out, at other poison rates."] if others else []
    note = " ".join(filter(None, [*notes, budgets_note(budgets, with_numbers)]))
    figure = draw(data, group, styles, budgets) if budgets else None
    return Drawing(data=data, figure=figure, alt=summary_text(data, group), note=note)


def at_same_rates(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the cells of the attacks with the rates that most attacks have, and the others.

    Means at two rates can be compared only if they are over the same attacks. Victims whose rate is
    unknown, as that of an imported one can be, are left out; so are all, if no attack has two
    rates.
    """
    known = frame[frame["rate"].gt(0)]
    rates_of = {
        attack: tuple(sorted(set(rows))) for attack, rows in known.groupby("attack")["rate"]
    }
    several = Counter(found for found in rates_of.values() if len(found) > 1)
    if not several:
        return known[:0], []
    chosen = several.most_common(1)[0][0]
    others = sorted(
        set(frame["attack"].unique()) - {x for x, found in rates_of.items() if found == chosen}
    )
    return known[~known["attack"].isin(others)], others


def rate_data(group: BoardGroup) -> pd.DataFrame:
    """Return the statistics (shares) per budget, poison rate, defense and metric."""
    by = [*GROUP, "defense", "budget", "rate"]
    summary = summarize_bands(group.frame, by, list(PANELS))
    return summary.sort_values(["defense", "metric", "budget", "rate"])


def draw(
    data: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle], budgets: list[str]
) -> Figure:
    """Return the figure of ``rate_data``: a row of panels per budget."""
    fig = Figure(
        figsize=(group.paper.page_inches, 0.3 + ROW_HEIGHT * len(budgets)), layout="constrained"
    )
    grid = fig.subplots(len(budgets), 3, squeeze=False, sharex=True)
    for budget, row in zip(budgets, grid, strict=True):
        for axes, (metric, name) in zip(row, PANELS.items(), strict=True):
            rows = data[data["budget"].eq(budget) & data["metric"].eq(metric)]
            draw_curves(axes, rows.assign(x=100 * rows["rate"]), styles, group)
            axes.set_title(f"{name} (%), {budget}", y=TITLE_Y)
            axes.set_ylim(axis_start(data, metric), 100)
    for axes in grid[-1]:
        axes.set_xlabel("poison rate (%)")
    legend_below(fig)
    return fig
