"""The style of all figures: type sizes, colours, markers; and how a figure is saved."""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from harness.plan.paper import Paper

PNG_DPI = 200
TALLEST = 8.0
"""Inches that a figure is high at most, so that its caption fits on the page too."""
LEGEND_PER_METHOD = 0.03
"""Inches of a figure's height that its legend takes for each method."""
MOST_IN_A_COLUMN = 12
"""The most methods whose legend is readable at the width of a column."""

# The serif that comes with matplotlib and fits to Times, in which most papers are set.
_FONTS = {"sans": "DejaVu Sans", "serif": "STIXGeneral"}


def rc(paper: Paper) -> Any:
    """Return matplotlib's settings for the figures of a paper: no text is below 6 points."""
    small = paper.small_size
    return {
        "font.family": _FONTS[paper.font],
        "mathtext.fontset": "stix" if paper.font == "serif" else "dejavusans",
        "font.size": paper.font_size,
        "axes.titlesize": paper.font_size,
        "axes.labelsize": paper.font_size,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
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


TITLE_Y = 1.0
"""Where a panel's title stands, in heights of the panel; where none is given, matplotlib measures
the ticks to find one, which takes long."""
REFERENCE: dict[str, Any] = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 1.0}
"""The line of the undefended model."""
SHADES = mpl.colormaps["cividis"]
"""The colour map for shares: readable with any colour vision, and in grey."""

_LEGEND_ROW = 1.65  # height, as a multiple of the type size
_LETTER = 0.56  # width, likewise
_LEGEND_HANDLE = 9  # width in letters of a line sample and its margins

# Okabe and Ito's palette without black and yellow, and two of Tol's: distinct with any colour
# vision.
_COLOURS = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#882255",
    "#999933",
]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h"]
_DASHES = ["-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1))]
_LOOKS = len(_COLOURS) * len(_MARKERS)
_RESERVED = 60  # looks for built-in methods; the others are for variants and users' own methods

DRAWN_LIKE = (
    "ims",
    "anp",
    "rnp",
    "fp",
    "ft",
    "grad_prune",
    "clp",
    "bnp",
    "ft_sam",
    "nad",
    "i_bau",
    "sau",
    "fst",
    "tsbd",
    "nc",
    "grad_prune_synthetic",
    "random_prune",
    "ft_step",
    "oracle",
    "ims_vit",
    "d3",
    "nft",
    "aft",
    "ban",
    "awm",
    "unit",
    "mm_bm",
    "lmr",
    "mcr",
    "tac_qp",
    "bti_dbf",
    "pam",
    "npd",
    "cnp",
    "fmp",
)
"""The built-in defenses. A place in this list is a colour and a marker: only append."""


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
            "zorder": 3,
        } | (_OURS_ON_TOP if self == OURS else {})


OURS = MethodStyle("#C4002B", "*", "-", hollow=False)
"""The look of the method that a paper is about."""
_OURS_ON_TOP = {"zorder": 4, "markersize": 6.5}  # a star looks smaller than other markers


def method_styles(
    methods: Sequence[str], hollow: Collection[str], ours: str | None = None
) -> dict[str, MethodStyle]:
    """Return a style per method, no two alike, whichever other methods there are.

    A built-in method has the look of its place in ``DRAWN_LIKE``, one of the user's own one that
    follows from its name; ``name (preset)`` has the colour of ``name``. Only where two looks
    would coincide does one move on, never that of a built-in method.

    Args:
        methods: the labels.
        hollow: those whose markers are not filled.
        ours: the label that looks like ``OURS``.
    """
    styles: dict[str, MethodStyle] = {}
    taken: set[int] = set()
    for method in sorted(methods, key=lambda label: (label not in DRAWN_LIKE, label)):
        look = next((look for look in _looks(method) if look not in taken), len(taken) % _LOOKS)
        taken.add(look)
        styles[method] = MethodStyle(
            _COLOURS[look % len(_COLOURS)],
            _MARKERS[look % len(_MARKERS)],
            _DASHES[look // len(_COLOURS) % len(_DASHES)],
            method in hollow,
        )
    return {**styles, ours: OURS} if ours in styles else styles


def _looks(label: str) -> Iterator[int]:
    """Yield the pairs of colour and marker that a method may have, in ``range(_LOOKS)``."""
    name, _, variant = label.partition(" ")
    number = zlib.crc32(label.encode())
    if name in DRAWN_LIKE:
        own = DRAWN_LIKE.index(name)
        first = _RESERVED + (own - _RESERVED) % len(_COLOURS)
        yield from [] if variant else [own]
        yield from _rotated(range(first, _LOOKS, len(_COLOURS)), number)
    yield from _rotated(range(_RESERVED, _LOOKS), number)
    yield from range(_LOOKS)


def _rotated(values: Sequence[int], number: int) -> Iterator[int]:
    """Yield all values in their order, beginning with the one that a number leads to."""
    start = number % len(values)
    yield from (*values[start:], *values[:start])


def print_width(paper: Paper, n_methods: int, *, wide: bool) -> float:
    """Return the width in inches at which a figure is drawn and printed: a column's or a page's.

    Args:
        paper: what the figure is for.
        n_methods: how many methods its legend or its axis names.
        wide: whether its panels need a page.
    """
    if wide or n_methods > MOST_IN_A_COLUMN:
        return paper.page_inches
    return paper.column_inches


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
    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points() / 72
    columns = _columns(list(entries), figure.get_figwidth() / (_LETTER * size))
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * size * rows)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def _columns(labels: list[str], width: float) -> int:
    """Return how many columns fit: as many as possible, six at most, by their longest labels.

    ``width`` is the figure's width in letters.
    """
    for columns in range(min(6, len(labels)), 1, -1):
        longest = [max(map(len, column)) for column in np.array_split(labels, columns)]
        if sum(longest) + _LEGEND_HANDLE * columns <= width:
            return columns
    return 1


def stand_side_by_side(labels: Sequence[str], inches: float) -> bool:
    """Return whether the labels of an axis of this length fit beside each other, by letters."""
    size = FontProperties(size=mpl.rcParams["xtick.labelsize"]).get_size_in_points() / 72
    return len(labels) * (1 + max(map(len, labels))) * _LETTER * size <= inches


def save(figure: Figure, stem: Path, paper: Paper) -> None:
    """Write ``stem``.pdf and ``stem``.png; without dates, so that equal data give equal files."""
    pdf, picture = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    with mpl.rc_context(rc(paper)):
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)  # once for both files
            figure.set_layout_engine("none")
        FigureCanvasPdf(figure).print_pdf(  # type: ignore[no-untyped-call]
            pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )
        picture.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    figure.set_dpi(PNG_DPI)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
        picture, metadata={"Software": None}
    )
    return picture.getvalue()
