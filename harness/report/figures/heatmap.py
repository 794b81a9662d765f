"""Attacks by defenses: ASR as a heat-map, one panel per clean budget."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    BoardGroup,
    budgets,
    panel_budgets,
    extra_access,
)
from harness.report.frame.report_data import ReportData
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.heatmap import ROW, colour_bar, draw_heat
from harness.report.plotting.style import PAGE_WIDTH, RC, legend_label
from harness.report.stats.means import summarize

CAPTION = (
    "ASR in percent, means over seeds; low (dark) is good. Columns: the undefended model, then the lowest "
    "mean ASR first, oracle and external methods last. A dash on grey: no finished cell."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model."""
    for part in source.parts:
        data = heat_data(part)
        figure = draw(data, part) if data["mean"].notna().any() else None
        yield ReportFigure(
            stem("heatmap", part, source),
            f"ASR by attack and defense, {part.title}",
            CAPTION,
            data,
            figure,
        )


def heat_data(part: BoardGroup) -> pd.DataFrame:
    """Return the statistics of ASR per budget, poison rate, attack and defense."""
    return summarize(
        part.frame, ["data", "model", "recipe", "budget", "rate", "attack", "defense"], ["asr"]
    )


def draw(data: pd.DataFrame, part: BoardGroup) -> Figure:
    """Return the figure of ``heat_data``."""
    several = data["rate"].nunique() > 1
    rate = data["rate"].map(lambda rate: f" {100 * rate:g} %" if several else "")
    placed = data.assign(row=data["attack"] + rate, percent=100 * data["mean"])
    columns = _columns(placed, extra_access(part.frame))
    labels = panel_budgets(budgets(part.frame))
    rows = placed["row"].nunique()
    narrow = 1.3 + 0.3 * len(columns) if len(columns) < 15 else PAGE_WIDTH
    with mpl.rc_context(RC):
        height = 0.75 + len(labels) * (0.3 + ROW * rows)
        figure = Figure(figsize=(max(3.4, narrow), height), layout="constrained")
        grid = figure.subplots(len(labels), 1, squeeze=False, sharex=True)[:, 0]
        for axes, label in zip(grid, labels, strict=True):
            table = placed[placed["budget"].eq(label)].pivot_table(
                index="row", columns="defense", values="percent", dropna=False, sort=False
            )
            shown = table.reindex(columns=columns).rename(
                columns=lambda name: legend_label(name, extra_access(part.frame))
            )
            image = draw_heat(axes, shown)
            axes.set(title=label)
        colour_bar(figure, image, list(grid), "ASR (%)")
    return figure


def _columns(data: pd.DataFrame, apart: Collection[str]) -> list[str]:
    mean = data.groupby("defense")["percent"].mean()
    return sorted(
        mean.index, key=lambda name: (name != NO_DEFENSE, name in apart, mean[name], name)
    )
