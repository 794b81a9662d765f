"""The style of all figures: type sizes, colours, markers; and how a figure is saved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

PAGE_WIDTH = 7.0
"""Inches: both columns of a two-column paper."""
PNG_DPI = 200

RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.8,
    "pdf.fonttype": 42,  # TrueType, as publishers ask
}

REFERENCE: dict[str, Any] = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 1.0}
"""The line of the undefended model."""
SHADES = mpl.colormaps["cividis"]
"""The colour map for shares: readable with any colour vision, and in grey."""

_LEGEND_ROW = 0.16  # height in inches
_LEGEND_WIDTH = 130  # characters that fit in a page's width
_LEGEND_HANDLE = 9  # width in characters of a line sample and its margins

# Okabe and Ito's palette without black and yellow: distinct with any colour vision.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h"]
_DASHES = ["-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1))]


class MethodStyle(NamedTuple):
    """How one method is drawn, the same in every figure of a report."""

    color: str
    marker: str
    linestyle: Any
    hollow: bool
    """For oracle and external methods."""

    def line(self) -> dict[str, Any]:
        """Return the keywords for a matplotlib line."""
        face = "white" if self.hollow else self.color
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "mfc": face,
        }


def method_styles(methods: Sequence[str], hollow: Collection[str]) -> dict[str, MethodStyle]:
    """Return a style per method, no two alike: colour, marker and dash cycle at different periods.

    Markers of the methods in ``hollow`` are not filled.
    """
    dashes = [dash for dash in _DASHES for _ in _COLOURS]
    styles = zip(sorted(methods), cycle(_COLOURS), cycle(_MARKERS), cycle(dashes), strict=False)
    return {
        method: MethodStyle(colour, marker, dash, method in hollow)
        for method, colour, marker, dash in styles
    }


def legend_below(figure: Figure, handles: Sequence[Artist] | None = None) -> None:
    """Add one legend below the panels, and make the figure higher by its height.

    It has the given handles, or every artist with a label in any panel, each label once.
    """
    entries: dict[Any, Any] = {}
    if handles is not None:
        entries = {artist.get_label(): artist for artist in handles}
    else:
        for axes in figure.axes:
            artists, labels = axes.get_legend_handles_labels()
            entries.update(zip(labels, artists, strict=True))
    columns = _columns(list(entries), figure.get_figwidth() / PAGE_WIDTH)
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * -(-len(entries) // columns))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def _columns(labels: list[str], width: float) -> int:
    """Return how many columns fit: as many as possible, six at most, by their longest labels.

    ``width`` is the figure's width as a fraction of a page's.
    """
    for columns in range(min(6, len(labels)), 1, -1):
        longest = [max(map(len, column)) for column in np.array_split(labels, columns)]
        if sum(longest) + _LEGEND_HANDLE * columns <= _LEGEND_WIDTH * width:
            return columns
    return 1


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem``.pdf and ``stem``.png; without dates, so that equal data give equal files."""
    pdf, png = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    with mpl.rc_context(RC):
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)  # once for both files
            figure.set_layout_engine("none")
        FigureCanvasPdf(figure).print_pdf(  # type: ignore[no-untyped-call]
            pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )
        figure.set_dpi(PNG_DPI)
        FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
            png, metadata={"Software": None}
        )
