"""Budget curves: ACC, ASR and RA against the clean samples per class, one line per defense."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import summary_text
from harness.report.plotting.curves import PANELS, axis_start, draw_curves
from harness.report.plotting.style import (
    TITLE_Y,
    MethodStyle,
    legend_below,
    method_styles,
)
from harness.report.stats.means import summarize_bands


@figure(
    title="Budget curves, {group}",
    caption="Means over attacks, poison rates and seeds, against the clean budget; bands are 95 % "
    "intervals, drawn for three repeats or more. The dashed line is the undefended model. Hollow "
    "markers: oracle and external methods.",
    invertible=True,
)
def curves(group: BoardGroup, report: ReportData) -> Drawing:
    """Draw a group; budgets without a number of samples per class are named in the note."""
    data = curve_data(group)
    missing = unplaced(group)
    notes = [f"{', '.join(missing)} left out, samples per class unknown."] if missing else []
    if group.frame["unclean"].ne("").any():
        notes.append("Unclean budgets are on no curve.")
    return Drawing(
        data=data,
        figure=draw(
            data, group, method_styles(report.defenses, group.extra_access, group.paper.ours)
        ),
        alt=summary_text(data, group),
        note=" ".join(notes),
    )


def curve_data(group: BoardGroup) -> pd.DataFrame:
    """Return what is drawn: the statistics (shares) per budget, defense and metric, with its spc.

    The undefended model needs no images: its rows pool all budgets, under the budget "all", with
    spc NaN.
    """
    cells = group.frame.assign(spc=group.frame["budget"].map(samples_per_class(group.frame)))
    columns = [*GROUP, "defense"]
    undefended = cells["defense"].eq(NO_DEFENSE)
    reference = summarize_bands(
        cells[undefended].assign(spc=np.nan), [*columns, "spc"], list(PANELS)
    )
    reference.insert(4, "budget", "all")
    placed = cells[~undefended & cells["spc"].notna()]
    lines = summarize_bands(placed, [*columns, "budget", "spc"], list(PANELS))
    lines = lines.sort_values(["defense", "metric", "spc", "budget"])
    tables = [table for table in (reference, lines) if len(table)]
    return pd.concat(tables or [lines], ignore_index=True)


def samples_per_class(frame: pd.DataFrame) -> pd.Series[float]:
    """Return each budget's clean samples per class, by the budget's label.

    A ratio budget has its images divided by the number of classes, which is known if another
    budget is per class; otherwise NaN, as for an unclean budget, which is on no curve.
    """
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min().astype(float)
    n_classes = (sizes["n_clean"] / sizes["spc"]).max()
    unclean = frame.groupby("budget")["unclean"].first().ne("")
    return sizes["spc"].fillna(sizes["n_clean"] / n_classes).mask(unclean)


def unplaced(group: BoardGroup) -> list[str]:
    """Return the budgets whose samples per class are unknown."""
    frame = group.frame[group.frame["unclean"].eq("")]
    spc = samples_per_class(frame)
    return [label for label in group.budgets if label in spc.index and pd.isna(spc[label])]


def draw(data: pd.DataFrame, group: BoardGroup, styles: dict[str, MethodStyle]) -> Figure | None:
    """Return the figure of ``curve_data``, or None when no defense has a number to draw."""
    lines = data[data["spc"].notna() & data["mean"].notna()]
    if lines.empty:
        return None
    fig = Figure(figsize=(group.paper.page_inches, 2.15), layout="constrained")
    for axes, (metric, name) in zip(fig.subplots(1, 3), PANELS.items(), strict=True):
        rows = data[data["metric"].eq(metric)].rename(columns={"spc": "x"})
        draw_curves(axes, rows, styles, group)
        axes.set_title(f"{name} (%)", y=TITLE_Y)
        axes.set(
            xlabel="clean samples per class",
            ylim=(axis_start(data, metric), 100),
        )
    legend_below(fig)
    return fig
