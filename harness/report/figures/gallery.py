"""Trigger gallery: test images without and with each attack's trigger, and what the trigger changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from harness.plan.spec import NO_ATTACK
from harness.report.frame.report_data import Arrays, ReportData
from harness.report.plotting.figure import ReportFigure
from harness.report.plotting.style import PAGE_WIDTH, RC

IMAGES = 3
"""Of each attack."""
KINDS = ("clean", "triggered", "change")
LABEL = 1.1
"""Inches beside a row."""
CAPTION = (
    "Test images, the same with the trigger, and the absolute change, scaled so that the largest of each "
    "picture is white. One poison rate and seed per attack."
)


class Sample(NamedTuple):
    """One attack's images, uint8 (n, C, H, W)."""

    label: str
    clean: np.ndarray[Any, Any]
    triggered: np.ndarray[Any, Any]


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set whose victims kept sample images."""
    attacked = source.victims[source.victims["attack"].ne(NO_ATTACK)]
    there = attacked[attacked["status"].eq("ok")]
    several = there["data"].nunique() > 1
    for data, victims in there.groupby("data"):
        samples = _samples(victims, source)
        if samples:
            stem = f"gallery_{data}" if several else "gallery"
            yield ReportFigure(
                stem, f"Triggers on {data}", CAPTION, gallery_data(samples), draw(samples)
            )


def _samples(victims: pd.DataFrame, source: ReportData) -> list[Sample]:
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
    """Return the figure: a row per attack, some images each, every one clean, triggered, and the change."""
    images = min(IMAGES, *(len(sample.clean) for sample in samples))
    columns = len(KINDS) * images
    with mpl.rc_context(RC):
        size = (PAGE_WIDTH - LABEL) / columns
        figure = Figure(figsize=(PAGE_WIDTH, len(samples) * size + 0.25))
        figure.set_layout_engine(
            ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        )
        grid = figure.subplots(len(samples), columns, squeeze=False)
        for row, sample in zip(grid, samples, strict=True):
            _row(row, sample, images)
        for axes, kind in zip(grid[0], cycle(KINDS), strict=False):
            axes.set_title(kind, fontsize=7)
    return figure


def _row(row: Any, sample: Sample, images: int) -> None:
    pictures = [pixels for image in range(images) for pixels in _shown(sample, image)]
    for axes, pixels in zip(row, pictures, strict=True):
        axes.set_axis_off()
        _image(axes, pixels)
    label = fill(sample.label, 20)
    row[0].text(-0.1, 0.5, label, transform=row[0].transAxes, ha="right", va="center", fontsize=7)


def _shown(sample: Sample, image: int) -> tuple[np.ndarray[Any, Any], ...]:
    clean, triggered = sample.clean[image], sample.triggered[image]
    change = np.abs(triggered.astype(float) - clean)
    return clean, triggered, (255 * change / max(1.0, change.max())).astype(np.uint8)


def _image(axes: Axes, pixels: np.ndarray[Any, Any]) -> None:
    """Draw uint8 (C, H, W)."""
    grey = len(pixels) == 1
    shown = pixels[0] if grey else pixels.transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
