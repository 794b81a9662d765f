"""Cost against quality: DER against the seconds that a defense takes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from harness.report.frame.report_data import ReportData
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.scatter import AxesPair, draw, points

CAPTION = (
    "DER against the seconds of the defense (log axis), means with 95 % intervals; the upper left corner is "
    "best. DER 50 is no change."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model; the undefended model takes no time and is not in it."""
    pair = AxesPair(x="seconds", y="der", finish=_finish)
    for part in source.parts:
        data = points(part, pair)
        data = data[data["defense"].isin(source.methods)]
        figure = draw(data, part, source.styles, pair)
        yield ReportFigure(
            stem("cost", part, source), f"Cost and quality, {part.title}", CAPTION, data, figure
        )


def _finish(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set(xlabel="seconds", ylabel="DER (%)")
    axes.set_ylim(max(0, min(axes.get_ylim()[0], 48)), 101.5)
