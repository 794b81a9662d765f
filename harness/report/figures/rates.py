"""Poison-rate curves: ACC, ASR and RA against the share of the training set that is poisoned."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.report.frame.groups import BoardGroup, budgets, panel_budgets, extra_access
from harness.report.frame.report_data import ReportData
from harness.report.plotting.curves import PANELS, axis_start, panel
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.style import PAGE_WIDTH, RC, MethodStyle, legend_below
from harness.report.stats.means import summarize

CAPTION = (
    "Means over attacks and seeds, with 95 % intervals, against the poison rate; one row per clean budget, "
    "six at most. The dashed line is the undefended model."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model that was attacked at two poison rates or more."""
    for part in map(_known, source.parts):
        if part.frame["rate"].nunique() > 1:
            data = rate_data(part)
            figure = draw(data, part, source.styles)
            yield ReportFigure(
                stem("rates", part, source), f"Poison rates, {part.title}", CAPTION, data, figure
            )


def _known(part: BoardGroup) -> BoardGroup:
    """Return a part without the victims whose rate is unknown, as that of an imported one can be."""
    return part._replace(frame=part.frame[part.frame["rate"].gt(0)])


def rate_data(part: BoardGroup) -> pd.DataFrame:
    """Return the statistics (shares) per budget, poison rate, defense and metric."""
    by = ["data", "model", "recipe", "defense", "budget", "rate"]
    return summarize(part.frame, by, list(PANELS)).sort_values(
        ["defense", "metric", "budget", "rate"]
    )


def draw(data: pd.DataFrame, part: BoardGroup, look: dict[str, MethodStyle]) -> Figure | None:
    """Return the figure of ``rate_data``, or None when there is no number to draw."""
    labels = panel_budgets([label for label in budgets(part.frame) if _drawn(data, label, look)])
    if not labels:
        return None
    with mpl.rc_context(RC):
        figure = Figure(figsize=(PAGE_WIDTH, 0.3 + 1.75 * len(labels)), layout="constrained")
        grid = figure.subplots(len(labels), 3, squeeze=False, sharex=True)
        for label, row in zip(labels, grid, strict=True):
            for axes, (metric, name) in zip(row, PANELS.items(), strict=True):
                rows = data[data["budget"].eq(label) & data["metric"].eq(metric)]
                panel(axes, rows.assign(x=100 * rows["rate"]), look, extra_access(part.frame))
                axes.set(title=f"{name} (%), {label}", ylim=(axis_start(data, metric), 100))
        for axes in grid[-1]:
            axes.set_xlabel("poison rate (%)")
        legend_below(figure)
    return figure


def _drawn(data: pd.DataFrame, label: str, look: dict[str, MethodStyle]) -> bool:
    rows = data["budget"].eq(label) & data["defense"].isin(look)
    return bool(data.loc[rows, "mean"].notna().any())
