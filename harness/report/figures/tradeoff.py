"""ACC against ASR with the Pareto front: what a lower ASR costs in clean accuracy."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from harness.report.frame.report_data import ReportData
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.scatter import AxesPair, draw, points

CAPTION = (
    "ACC against ASR, means with 95 % intervals; the upper left corner is best. The grey line is the Pareto "
    "front of the methods that need clean images alone."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model."""
    pair = AxesPair(x="asr", y="acc", finish=_finish)
    for part in source.parts:
        data = points(part, pair)
        figure = draw(data, part, source.styles, pair)
        yield ReportFigure(
            stem("tradeoff", part, source), f"ACC and ASR, {part.title}", CAPTION, data, figure
        )


def pareto_front(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the points that no other beats in both, by rising ASR: columns asr_mean and acc_mean."""
    ordered = rows.sort_values(["asr_mean", "acc_mean"], ascending=[True, False])
    before = ordered["acc_mean"].astype(float).cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["acc_mean"].gt(before)]


def _finish(axes: Axes, rows: pd.DataFrame) -> None:
    best = pareto_front(rows)
    axes.step(
        best["asr_mean"], best["acc_mean"], where="post", color="0.6", linewidth=0.9, zorder=1
    )
    axes.set(xlabel="ASR (%)", ylabel="ACC (%)", xlim=(-4, 104))
    lowest = min(rows["acc_mean"].min(), axes.get_ylim()[1])
    axes.set_ylim(max(0, min(axes.get_ylim()[0], lowest - 2)), min(101.5, axes.get_ylim()[1]))
