"""Pruning curves: ACC and ASR of the victim against the share of channels that a defense cuts.

Drawn of what the probe ``pruning`` logged, which a study asks for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.metric_info import QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import range_text
from harness.report.plotting.style import MethodStyle, legend_below, method_styles
from harness.report.stats.means import is_counted

PROBE = "pruning"
DRAWN = ("acc", "asr")
KEYS = [*GROUP, "budget", "defense"]
MARKED = 5
"""A marker at every fifth step."""
TICKS = (0, 1, 5, 10, 25, 50, 75, 100)
"""Percent."""


@figure(title="Pruning curves, {group}", invertible=True)
def pruning_curves(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw the curves at the largest budget that has some."""
    data = step_means(group, report.probe_logs(PROBE))
    if data.empty:
        return None
    budget = group.largest(group.budgets_in(data))
    data = data[data["budget"].eq(budget)]
    caption = (
        f"The victim with its channels cut in the order of each defense, at {budget}, without any "
        "fine-tuning: means over attacks, poison rates and seeds, against the share of the "
        "channels that the defense can cut (square-root axis). A defense that separates backdoor "
        "and task lowers ASR before ACC."
    )
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    lowest = range_text(data.groupby("defense")["asr"].min(), "asr", group)
    alt = f"The lowest points of the curves at {budget}: {lowest}."
    return Drawing(data=data, figure=draw(data, group, styles), caption=caption, alt=alt)


def step_means(group: BoardGroup, logs: dict[str, list[dict[str, float]]]) -> pd.DataFrame:
    """Return the mean share, ACC and ASR (shares) per budget, defense and step, over n_cells."""
    cells = group.frame[is_counted(group.frame) & group.frame["key"].isin(logs)]
    rows: list[dict[Any, Any]] = [
        {**{name: cell[name] for name in KEYS}, **entry}
        for cell in cells.to_dict("records")
        for entry in logs[cell["key"]]
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "step", "share", *DRAWN])
    steps = table.groupby([*KEYS, "step"])
    return steps.mean().assign(n_cells=steps.size()).reset_index()


def draw(data: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle]) -> Figure:
    """Return the figure of ``step_means``: one panel per metric, one line per defense."""
    fig = Figure(figsize=(group.paper.page_inches, 2.3), layout="constrained")
    most = 100 * data["share"].max()
    for axes, metric in zip(fig.subplots(1, len(DRAWN)), DRAWN, strict=True):
        for label, rows in data.groupby("defense"):
            defense = str(label)
            axes.plot(
                100 * rows["share"],
                100 * rows[metric],
                label=group.legend_label(defense),
                clip_on=False,
                markevery=MARKED,
                **styles[defense].line(),
            )
        _set_axes(axes, most)
        axes.set_title(f"{QUANTITIES[metric].label} (%)")
    legend_below(fig)
    return fig


def _set_axes(axes: Axes, most: float) -> None:
    axes.set_xscale("function", functions=(_root, np.square))
    ticks = [tick for tick in TICKS if tick <= most]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlim=(0, most), ylim=(0, 100), xlabel="channels cut (%)")


def _root(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    root: np.ndarray[Any, Any] = np.sign(x) * np.sqrt(np.abs(x))
    return root
