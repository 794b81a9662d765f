"""The spread over victims: box plots of ACC, ASR and RA, one per defense and clean budget."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    BoardGroup,
    budgets,
    panel_budgets,
    extra_access,
)
from harness.report.frame.report_data import ReportData
from harness.report.plotting.curves import PANELS
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.style import PAGE_WIDTH, RC, SHADES, legend_label, legend_below

CAPTION = (
    "One point per victim (attack, poison rate, seed); boxes span the quartiles with the median, whiskers "
    "reach the outermost victims. The best median ASR is on top, the undefended model at the bottom. Six "
    "budgets at most."
)


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model."""
    for part in source.parts:
        data = spread_data(part)
        figure = draw(data, part) if len(data) else None
        title = f"Spread over victims, {part.title}"
        yield ReportFigure(stem("spread", part, source), title, CAPTION, data, figure)


def spread_data(part: BoardGroup) -> pd.DataFrame:
    """Return ACC, ASR and RA (shares) of every cell that counts."""
    columns = [
        "data",
        "model",
        "recipe",
        "attack",
        "rate",
        "target",
        "defense",
        "budget",
        "seed",
        *PANELS,
    ]
    return part.frame.loc[part.frame["reason"].eq(""), columns].reset_index(drop=True)


def draw(data: pd.DataFrame, part: BoardGroup) -> Figure:
    """Return the figure of ``spread_data``."""
    names, labels = (
        _order(data),
        panel_budgets([b for b in budgets(part.frame) if data["budget"].eq(b).any()]),
    )
    colours = {b: SHADES(0.1 + 0.7 * i / max(1, len(labels) - 1)) for i, b in enumerate(labels)}
    hollow = extra_access(part.frame)
    with mpl.rc_context(RC):
        height = 0.45 + len(names) * max(0.17, 0.1 * len(labels))
        figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
        grid = figure.subplots(1, 3, sharey=True)
        for axes, (metric, name) in zip(grid, PANELS.items(), strict=True):
            for place, label in enumerate(labels):
                rows = data[data["budget"].eq(label)]
                shift = 0.8 * ((place + 0.5) / len(labels) - 0.5)
                groups = [
                    (names.index(str(n)) + shift, 100 * v)
                    for n, v in rows.groupby("defense")[metric]
                ]
                _boxes(axes, groups, 0.5 / len(labels), colours[label])
            axes.set(title=f"{name} (%)", ylim=(len(names) - 0.5, -0.5))
            axes.set_yticks(range(len(names)), [legend_label(name, hollow) for name in names])
            axes.tick_params(axis="y", length=0)
        handles = [Patch(facecolor=colours[label], label=label) for label in labels]
        legend_below(figure, handles)
    return figure


def _boxes(
    axes: Axes,
    groups: list[tuple[float, pd.Series[float]]],
    width: float,
    colour: tuple[float, ...],
) -> None:
    """Draw one budget's boxes and points: where each stands, and its values in percent."""
    there = [(place, values.dropna()) for place, values in groups if values.notna().any()]
    axes.boxplot(
        [values.to_numpy() for _, values in there],
        positions=[place for place, _ in there],
        orientation="horizontal",
        widths=width,
        whis=(0, 100),
        showcaps=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": (*colour[:3], 0.45), "edgecolor": colour, "linewidth": 0.6},
        whiskerprops={"color": colour, "linewidth": 0.6},
        medianprops={"color": "black", "linewidth": 0.9},
    )
    x = np.concatenate([values for _, values in there])
    y = np.repeat([place for place, _ in there], [len(values) for _, values in there])
    axes.plot(x, y, ".", color=colour, markersize=1.8, clip_on=False)


def _order(data: pd.DataFrame) -> list[str]:
    median = data.groupby("defense")["asr"].median()
    return sorted(median.index, key=lambda name: (name == NO_DEFENSE, median[name], name))
