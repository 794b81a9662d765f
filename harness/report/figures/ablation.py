"""Ablation: ACC, ASR and RA against one hyperparameter of a defense, one line per budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.keys import slug
from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup, budgets_note
from harness.report.frame.metric_info import percent
from harness.report.frame.report_data import ReportData
from harness.report.frame.sweeps import Sweep, report_sweeps
from harness.report.plotting.curves import PANELS, axis_start
from harness.report.plotting.style import SHADES, TITLE_Y, legend_below, stand_side_by_side
from harness.report.stats.means import summarize_bands

AXIS_SHARE = 0.8
"""How much of a panel's width is its axis."""
TALL_LABEL = 0.35
"""Inches more, where values stand upright."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _SweptGroup(BoardGroup):
    """The cells of one sweep."""

    sweep: Sweep


def _swept(report: ReportData) -> Iterator[_SweptGroup]:
    """Yield every sweep in every group that has it."""
    for group in report.groups:
        for sweep in report.once(report_sweeps):
            rows = group.frame[group.frame["defense"].isin(sweep.values)]
            if rows["defense"].nunique() > 1:
                name = group.names.of("defense", sweep.defense)
                parts = (group.slug, sweep.defense, sweep.parameter)
                yield _SweptGroup(
                    title=f"{name}: {sweep.parameter}, {group.title}",
                    slug=slug("_".join(filter(None, parts)), "-", keep="._-"),
                    frame=rows,
                    names=group.names,
                    paper=group.paper,
                    sweep=sweep,
                )


@figure(
    title="Ablation of {group}",
    caption="Means over attacks and poison rates, with 95 % intervals over three repeats or more, "
    "by the value of the hyperparameter. The dotted line is the default.",
    groups=_swept,
    invertible=True,
)
def ablation(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw one sweep."""
    del report
    assert isinstance(group, _SweptGroup)
    data = sweep_data(group, group.sweep)
    if not data["mean"].notna().any():
        return None
    known = group.budgets_in(data)
    budgets = group.panel_budgets(known)
    return Drawing(
        data=data,
        figure=draw(data, group, budgets),
        alt=_seen(data, group),
        note=budgets_note(budgets, known),
    )


def _seen(data: pd.DataFrame, group: _SweptGroup) -> str:
    """Return every value with its means at the largest budget."""
    budget = group.largest(group.budgets_in(data))
    rows = data[data["budget"].eq(budget)]
    table = rows.pivot_table(index="value", columns="metric", values="mean", sort=False)
    means = (
        f"{group.sweep.parameter} {value}: "
        + " ".join(f"{PANELS[name]} {percent(row[name])}" for name in PANELS if name in row)
        for value, row in table.iterrows()
    )
    return f"At {budget}: {'; '.join(means)}."


def sweep_data(group: BoardGroup, sweep: Sweep) -> pd.DataFrame:
    """Return the statistics (shares) per budget, value and metric."""
    by = [*GROUP, "budget", "defense"]
    summary = summarize_bands(group.frame, by, list(PANELS))
    values = summary["defense"].map(sweep.values).map(_text)
    summary.insert(len(by), "value", values)
    order = summary["defense"].map(list(sweep.values).index)
    return summary.assign(order=order).sort_values(["budget", "metric", "order"])


def draw(data: pd.DataFrame, group: _SweptGroup, budgets: list[str]) -> Figure:
    """Return the figure of ``sweep_data``: one panel per metric, values at even distances."""
    values = [_text(value) for value in group.sweep.values.values()]
    width = group.paper.page_inches
    upright = not stand_side_by_side(values, AXIS_SHARE * width / len(PANELS))
    height = 1.9 + upright * TALL_LABEL
    fig = Figure(figsize=(width, height), layout="constrained")
    for axes, (metric, name) in zip(fig.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        rows = data[data["metric"].eq(metric) & data["mean"].notna()]
        for i, budget in enumerate(budgets):
            shade = SHADES(0.1 + 0.7 * i / max(1, len(budgets) - 1))
            _draw_line(axes, rows[rows["budget"].eq(budget)], budget, shade)
        if (default := _text(group.sweep.default)) in values:
            axes.axvline(values.index(default), color="0.5", linestyle=":", linewidth=0.9)
        axes.set_xticks(range(len(values)), values, rotation=90 if upright else 0)
        axes.set_title(f"{name} (%)", y=TITLE_Y)
        axes.set(
            xlabel=group.sweep.parameter,
            xlim=(-0.3, len(values) - 0.7),
            ylim=(axis_start(data, metric), 100),
        )
    legend_below(fig)
    return fig


def _draw_line(axes: Axes, rows: pd.DataFrame, budget: str, shade: tuple[float, ...]) -> None:
    x = rows["order"].to_numpy()
    mean, low, high = (100 * rows[name].to_numpy() for name in ("mean", "low", "high"))
    axes.fill_between(x, low, high, color=shade, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=shade, marker="o", label=budget, clip_on=False, zorder=3)


def _text(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
