"""Cost against quality: DER against the seconds that a defense takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.plotting.scatter import AxesPair, points, scatter
from harness.report.plotting.style import method_styles
from harness.report.stats.means import is_counted


@figure(
    title="Cost and quality, {group}",
    caption="DER against the seconds of the defense (log axis), means with the 95 % intervals of "
    "three repeats or more; the "
    "upper left corner is best. DER 50 is no change.",
    invertible=True,
)
def cost(group: BoardGroup, report: ReportData) -> Drawing:
    """Draw the defenses of a group; the undefended model takes no time and is left out."""
    pair = AxesPair(x="seconds", y="der", finish=_finish)
    data = points(group, pair)
    data = data[data["defense"].ne(NO_DEFENSE)]
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    drawing = scatter(data, group, styles, pair)
    return replace(drawing, note=f"{drawing.note} {_note(group)}".strip())


def _note(group: BoardGroup) -> str:
    """Return how many of the seconds are longer than a defense takes alone."""
    cells = group.frame[is_counted(group.frame) & group.frame["defense"].ne(NO_DEFENSE)]
    shared = int(cells["shared"].sum())
    if not shared:
        return ""
    return (
        f"In {shared} of {len(cells)} cells several workers shared the GPU: alone they take less."
    )


def _finish(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = np.log10(high / low)
    steps = (1, 2, 5) if decades < 1 else (1, 3) if decades < 2 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="seconds", ylabel="DER (%)")
