"""The spread over victims: box plots of ACC, ASR and RA, one per defense and clean budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup, budgets_note
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import summary_text
from harness.report.plotting.curves import PANELS
from harness.report.plotting.style import SHADES, TALLEST, TITLE_Y, legend_below
from harness.report.stats.means import CONDITION, is_counted

BOX_HEIGHT = 0.1
"""Inches, of a box with its margins."""


@figure(
    title="Spread over victims, {group}",
    caption="One point per victim (attack, poison rate, seed); boxes span the quartiles with the "
    "median, whiskers reach the outermost victims. The best median ASR is on top, the undefended "
    "model at the bottom.",
    invertible=True,
)
def spread(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw the cells of a group that count."""
    data = spread_data(group)
    if data.empty:
        return None
    medians = data.groupby(["budget", "defense"])[list(PANELS)].median().reset_index()
    long = medians.melt(["budget", "defense"], var_name="metric", value_name="mean")
    alt = f"Medians. {summary_text(long, group)}"
    known = group.budgets_in(data)
    budgets = group.panel_budgets(known, _room(data) / BOX_HEIGHT)
    note = budgets_note(budgets, known)
    return Drawing(data=data, figure=draw(data, group, budgets), alt=alt, note=note)


def spread_data(group: BoardGroup) -> pd.DataFrame:
    """Return ACC, ASR and RA (shares) of every cell that counts."""
    columns = [*CONDITION, "seed", *PANELS]
    return group.frame.loc[is_counted(group.frame), columns].reset_index(drop=True)


def _room(data: pd.DataFrame) -> float:
    """Return the most inches that a defense can have."""
    return (TALLEST - 0.8) / data["defense"].nunique()


def draw(data: pd.DataFrame, group: BoardGroup, budgets: list[str]) -> Figure:
    """Return the figure of ``spread_data``: a box per defense and budget."""
    defenses = _order(data)
    colours = [SHADES(0.1 + 0.7 * i / max(1, len(budgets) - 1)) for i in range(len(budgets))]
    height = 0.45 + len(defenses) * max(min(0.17, _room(data)), BOX_HEIGHT * len(budgets))
    fig = Figure(figsize=(group.paper.page_inches, height), layout="constrained")
    grid = fig.subplots(1, 3, sharey=True)
    for axes, (metric, name) in zip(grid, PANELS.items(), strict=True):
        for i, (budget, colour) in enumerate(zip(budgets, colours, strict=True)):
            rows = data[data["budget"].eq(budget)]
            shift = 0.8 * ((i + 0.5) / len(budgets) - 0.5)
            boxes = [
                (defenses.index(str(defense)) + shift, 100 * values)
                for defense, values in rows.groupby("defense")[metric]
            ]
            _draw_boxes(axes, boxes, 0.5 / len(budgets), colour)
        axes.set_title(f"{name} (%)", y=TITLE_Y)
        axes.set_ylim(len(defenses) - 0.5, -0.5)
        axes.set_yticks(range(len(defenses)), [group.legend_label(name) for name in defenses])
        axes.tick_params(axis="y", length=0)
    handles = [
        Patch(facecolor=colour, label=budget)
        for budget, colour in zip(budgets, colours, strict=True)
    ]
    legend_below(fig, handles)
    return fig


def _draw_boxes(
    axes: Axes,
    boxes: list[tuple[float, pd.Series[float]]],
    height: float,
    colour: tuple[float, ...],
) -> None:
    """Draw one budget's boxes and points, each at its y with its values in percent.

    All of one kind are one artist: a few hundred boxes of matplotlib's own take seconds.
    """
    known = {y: values.dropna().to_numpy() for y, values in boxes if values.notna().any()}
    if not known:
        return
    y = np.array(list(known))
    least, first, median, third, most = np.transpose(
        [np.percentile(values, (0, 25, 50, 75, 100)) for values in known.values()]
    )
    axes.hlines(y, least, first, color=colour, linewidth=0.6)
    axes.hlines(y, third, most, color=colour, linewidth=0.6)
    corners = zip(first, y - height / 2, third - first, strict=True)
    bodies = [Rectangle((left, bottom), width, height) for left, bottom, width in corners]
    face = (*colour[:3], 0.45)
    axes.add_collection(PatchCollection(bodies, facecolor=face, edgecolor=colour, linewidth=0.6))
    axes.vlines(median, y - height / 2, y + height / 2, color="black", linewidth=0.9)
    rows = np.repeat(y, [len(values) for values in known.values()])
    axes.plot(
        np.concatenate(list(known.values())), rows, ".", color=colour, markersize=1.8, clip_on=False
    )


def _order(data: pd.DataFrame) -> list[str]:
    median = data.groupby("defense")["asr"].median()
    return sorted(median.index, key=lambda name: (name == NO_DEFENSE, median[name], name))
