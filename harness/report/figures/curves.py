"""Budget curves: ACC, ASR and RA against the clean samples per class, one line per defense."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    BoardGroup,
    budgets,
    extra_access,
)
from harness.report.frame.report_data import ReportData
from harness.report.plotting.curves import PANELS, axis_start, panel
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.style import PAGE_WIDTH, RC, MethodStyle, legend_below
from harness.report.stats.means import summarize

CAPTION = (
    "Means over attacks, poison rates and seeds, with 95 % intervals, against the clean budget. The dashed "
    "line is the undefended model. Hollow markers: oracle and external methods."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model."""
    for part in source.parts:
        name = stem("curves", part, source)
        missing = unplaced(part)
        note = (
            f"Figure {name}: {', '.join(missing)} left out, samples per class unknown."
            if missing
            else ""
        )
        data = curve_data(part)
        figure = draw(data, part, source.styles)
        yield ReportFigure(
            name, f"Budget curves, {part.title}", f"{CAPTION} {note}".strip(), data, figure, note
        )


def curve_data(part: BoardGroup) -> pd.DataFrame:
    """Return what the figure draws: the statistics (shares) per budget, defense and metric, with its spc.

    No defense needs no images: its lines pool all budgets, under the budget "all", with spc NaN.
    """
    frame = part.frame.assign(spc=part.frame["budget"].map(samples_per_class(part.frame)))
    columns = ["data", "model", "recipe", "defense"]
    idle = frame["defense"].eq(NO_DEFENSE)
    reference = summarize(frame[idle].assign(spc=np.nan), [*columns, "spc"], list(PANELS))
    reference.insert(4, "budget", "all")
    placed = frame[~idle & frame["spc"].notna()]
    lines = summarize(placed, [*columns, "budget", "spc"], list(PANELS))
    data = lines.sort_values(["defense", "metric", "spc", "budget"])
    return pd.concat([part for part in (reference, data) if len(part)] or [data], ignore_index=True)


def samples_per_class(frame: pd.DataFrame) -> pd.Series[float]:
    """Return each budget's clean samples per class.

    By label. A ratio budget is its images divided by the classes of the data set, known where
    another budget is per class; else NaN.
    """
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min().astype(float)
    classes = (sizes["n_clean"] / sizes["spc"]).max()
    return sizes["spc"].fillna(sizes["n_clean"] / classes)


def unplaced(part: BoardGroup) -> list[str]:
    """Return the budgets that have no place on the axis."""
    spc = samples_per_class(part.frame)
    return [label for label in budgets(part.frame) if pd.isna(spc[label])]


def draw(data: pd.DataFrame, part: BoardGroup, look: dict[str, MethodStyle]) -> Figure | None:
    """Return the figure of ``curve_data``, or None when no defense has a number to draw."""
    lines = data[data["spc"].notna() & data["mean"].notna()]
    if lines.empty:
        return None
    with mpl.rc_context(RC):
        figure = Figure(figsize=(PAGE_WIDTH, 2.15), layout="constrained")
        for axes, (metric, name) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
            rows = data[data["metric"].eq(metric)].rename(columns={"spc": "x"})
            panel(axes, rows, look, extra_access(part.frame))
            axes.set(
                title=f"{name} (%)",
                xlabel="clean samples per class",
                ylim=(axis_start(data, metric), 100),
            )
        legend_below(figure)
    return figure
