"""Heat maps: shares in percent, rows by columns, each cell with its number where there is room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.paper import LEAST_FONT_SIZE
from harness.report.plotting.style import SHADES

ROW_HEIGHT, LEAST_ROW_HEIGHT = 0.17, 0.1
"""Inches, of a row with room and of one without."""
MOST_SLANTED = 40
"""With more columns than this, their names stand upright, so as not to overlap."""
MAX_NUMBERED = 24
"""With more columns than this, cells carry no numbers."""
MAX_TICKS = 25
"""The most upright labels of the columns."""


def draw_heat(axes: Axes, table: pd.DataFrame, *, upright: bool = False) -> Any:
    """Draw a table of percentages (NaN: grey, a dash) and return the image for a colour bar."""
    values = table.to_numpy(dtype=float)
    axes.set_facecolor("0.85")
    image = axes.imshow(
        values, cmap=SHADES, vmin=0, vmax=100, aspect="auto", interpolation="nearest"
    )
    axes.set_yticks(range(len(table.index)), [str(name) for name in table.index])
    names = [str(name) for name in table.columns]
    if upright:
        step = -(-len(names) // MAX_TICKS)
        axes.set_xticks(range(0, len(names), step), names[::step])
    else:
        slanted = len(names) <= MOST_SLANTED
        axes.set_xticks(
            range(len(names)),
            names,
            rotation=45 if slanted else 90,
            ha="right",
            va="top" if slanted else "center",
            rotation_mode="anchor",
        )
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if len(names) <= MAX_NUMBERED:
        _draw_numbers(axes, values)
    return image


def _draw_numbers(axes: Axes, values: Any) -> None:
    size = 6.5 if values.shape[1] <= 16 else LEAST_FONT_SIZE
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.0f}"
        colour = "black" if np.isnan(value) or value > 55 else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def colour_bar(figure: Figure, image: Any, axes: Any, label: str) -> None:
    """Add the scale at the side of the panels."""
    bar = figure.colorbar(image, ax=axes, label=label, fraction=0.03, pad=0.01, aspect=25)
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
