"""Trigger gallery: test images without and with each attack's trigger, and what the trigger changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from harness.report.picture import Picture
from harness.report.source import Arrays, Source
from harness.report.style import PAGE_WIDTH, RC

COLUMNS = 8
"""Pictures beside each other."""
ROWS = ("clean", "triggered", "change")
CAPTION = (
    "Test images, the same with the trigger, and the absolute change, scaled so that the largest of each "
    "picture is white. One poison rate and seed per attack."
)


class Sample(NamedTuple):
    """One attack's images, uint8 (n, C, H, W)."""

    label: str
    clean: np.ndarray[Any, Any]
    triggered: np.ndarray[Any, Any]


def pictures(source: Source) -> Iterator[Picture]:
    """Yield one figure per data set whose victims kept sample images."""
    there = source.victims[source.victims["status"].eq("ok")]
    several = there["data"].nunique() > 1
    for data, victims in there.groupby("data"):
        samples = _samples(victims, source)
        if samples:
            stem = f"gallery_{data}" if several else "gallery"
            yield Picture(stem, f"Triggers on {data}", CAPTION, gallery_data(samples), draw(samples))


def _samples(victims: pd.DataFrame, source: Source) -> list[Sample]:
    """Return the images of the first victim of every attack and target."""
    found = []
    ordered = victims.sort_values(["rate", "seed", "model", "recipe"])
    for (attack, _), rows in ordered.groupby([ordered["attack"], ordered["target"].astype(str)]):
        arrays: Arrays | None = source.artifact(str(rows["key"].iloc[0]), "samples")
        if arrays is not None:
            found.append(Sample(str(attack), arrays["clean"], arrays["triggered"]))
    return found


def gallery_data(samples: list[Sample]) -> pd.DataFrame:
    """Return, per attack and image, how far the trigger moves it: changed pixels, L2, L-infinity in 0..1."""
    rows = []
    for sample in samples:
        change = np.abs(sample.triggered.astype(float) - sample.clean) / 255
        for place, image in enumerate(change):
            rows.append(
                {
                    "attack": sample.label,
                    "image": place,
                    "changed_pixels": float((image.max(0) > 0).mean()),
                    "l2": float(np.sqrt((image**2).sum())),
                    "linf": float(image.max()),
                }
            )
    return pd.DataFrame(rows)


def draw(samples: list[Sample]) -> Figure:
    """Return the figure: bands of pictures, three rows each; few attacks have several pictures each."""
    each = max(1, COLUMNS // len(samples))
    places = [(sample, image) for sample in samples for image in range(min(each, len(sample.clean)))]
    bands = -(-len(places) // COLUMNS)
    columns = min(COLUMNS, len(places))
    with mpl.rc_context(RC):
        size = PAGE_WIDTH / (COLUMNS + 0.6)
        figure = Figure(figsize=((columns + 0.6) * size, bands * (3 * size + 0.3)))
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0))
        grid = figure.subplots(3 * bands, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for place, (sample, image) in enumerate(places):
            band, column = divmod(place, columns)
            panels = grid[3 * band : 3 * band + 3, column]
            _column(panels, sample, image, first=column == 0)
    return figure


def _column(panels: Any, sample: Sample, image: int, *, first: bool) -> None:
    clean, triggered = sample.clean[image], sample.triggered[image]
    change = np.abs(triggered.astype(float) - clean)
    scaled = (255 * change / max(1.0, change.max())).astype(np.uint8)
    for axes, name, pixels in zip(panels, ROWS, (clean, triggered, scaled), strict=True):
        _image(axes, pixels)
        if first:
            axes.text(
                -0.08, 0.5, name, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=7
            )
    if image == 0:
        panels[0].set_title(sample.label, fontsize=7, loc="left")


def _image(axes: Axes, pixels: np.ndarray[Any, Any]) -> None:
    """Draw uint8 (C, H, W)."""
    grey = len(pixels) == 1
    shown = pixels[0] if grey else pixels.transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
