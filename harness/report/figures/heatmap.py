"""Attacks by defenses: ASR as a heat map, one panel per clean budget."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup, budgets_note
from harness.report.frame.metric_info import rate_text
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import summary_text
from harness.report.plotting.heatmap import LEAST_ROW_HEIGHT, ROW_HEIGHT, colour_bar, draw_heat
from harness.report.plotting.style import TALLEST, TITLE_Y, print_width
from harness.report.stats.means import summarize


@figure(
    title="ASR by attack and defense, {group}",
    caption="ASR in percent, means over seeds; low (dark) is good. Columns: the undefended model, "
    "then the lowest mean ASR first, oracle and external methods last. A dash on grey: no cell "
    "that counts.",
)
def heatmap(group: BoardGroup, report: ReportData) -> Drawing:
    """Draw the cells of a group."""
    data = heat_data(group)
    if not data["mean"].notna().any():
        return Drawing(data=data, figure=None)
    means = data.groupby(["budget", "metric", "defense"])[["mean"]].mean().reset_index()
    alt = f"Means over attacks. {summary_text(means, group)}"
    budgets = group.panel_budgets(group.budgets, (TALLEST - 0.75) / _panel_height(data))
    note = budgets_note(budgets, group.budgets)
    return Drawing(data=data, figure=draw(data, group, budgets), alt=alt, note=note)


def heat_data(group: BoardGroup) -> pd.DataFrame:
    """Return the statistics of ASR per budget, poison rate, attack and defense."""
    by = [*GROUP, "budget", "rate", "attack", "defense"]
    return summarize(group.frame, by, ["asr"])


def _panel_height(data: pd.DataFrame) -> float:
    """Return the inches of a budget: a row per attack and poison rate."""
    n_rows = len(data[["attack", "rate"]].drop_duplicates())
    return 0.3 + max(LEAST_ROW_HEIGHT * n_rows, min(ROW_HEIGHT * n_rows, TALLEST - 1.5))


def draw(data: pd.DataFrame, group: BoardGroup, budgets: list[str]) -> Figure:
    """Return the figure of ``heat_data``: a panel per budget."""
    several_rates = data["rate"].nunique(dropna=False) > 1
    attack = data["attack"].map(lambda label: group.names.of("attack", label))
    rate = data["rate"].map(lambda rate: f" {rate_text(rate)}" if several_rates else "")
    placed = data.assign(row=attack + rate, percent=100 * data["mean"])
    columns = _columns(placed, group)
    width = print_width(group.paper, len(columns), wide=False)
    height = 0.75 + len(budgets) * _panel_height(data)
    fig = Figure(figsize=(width, height), layout="constrained")
    grid = fig.subplots(len(budgets), 1, squeeze=False, sharex=True)[:, 0]
    for axes, budget in zip(grid, budgets, strict=True):
        table = placed[placed["budget"].eq(budget)].pivot_table(
            index="row", columns="defense", values="percent", dropna=False, sort=False
        )
        table = table.reindex(columns=columns).rename(columns=group.legend_label)
        image = draw_heat(axes, table)
        axes.set_title(budget, y=TITLE_Y)
    colour_bar(fig, image, list(grid), "ASR (%)")
    return fig


def _columns(data: pd.DataFrame, group: BoardGroup) -> list[str]:
    mean = data.groupby("defense")["percent"].mean()

    def order(defense: str) -> tuple[bool, bool, float, str]:
        return defense != NO_DEFENSE, defense in group.extra_access, mean[defense], defense

    return sorted(mean.index, key=order)
