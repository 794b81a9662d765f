"""Trigger gallery: test images without and with each attack's trigger, and what it changes."""

from __future__ import annotations

from itertools import cycle
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import percent
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import TALLEST
from harness.store.record import Status

MAX_IMAGES = 3
"""The most images of an attack that are drawn."""
VIEWS = ("clean", "triggered", "change")
LABEL_WIDTH = 1.1
"""Inches at the side of a row."""


class AttackSamples(NamedTuple):
    """One attack's images, uint8 (n, C, H, W)."""

    attack: str
    clean: np.ndarray[Any, Any]
    triggered: np.ndarray[Any, Any]


def _data_sets(report: ReportData) -> list[BoardGroup]:
    """Return the attacked victims of each data set."""
    victims = report.victims
    trained = victims[victims["attacked"].eq(True) & victims["status"].eq(Status.OK)]
    several = trained["data"].nunique() > 1
    return [
        BoardGroup(str(data), str(data) if several else "", rows, report.names, report.paper)
        for data, rows in trained.groupby("data")
    ]


@figure(
    title="Triggers on {group}",
    caption="Test images, the same with the trigger, and the absolute change, scaled so that the "
    "largest change in each image is white. One poison rate and seed per attack.",
    groups=_data_sets,
)
def gallery(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw a data set whose victims kept sample images."""
    samples = _samples(group.frame, report)
    if not samples:
        return None
    data = gallery_data(samples)
    return Drawing(data=data, figure=draw(samples, group), alt=_seen(data, group))


def _seen(data: pd.DataFrame, group: BoardGroup) -> str:
    """Return how much of an image each trigger changes, and how far."""
    means = data.groupby("attack")[["changed_pixels", "linf"]].mean()
    return "; ".join(
        f"{group.names.of('attack', str(attack))} changes {percent(row['changed_pixels'])} % of "
        f"the pixels, by up to {percent(row['linf'])} % of the range"
        for attack, row in means.iterrows()
    )


def _samples(victims: pd.DataFrame, report: ReportData) -> list[AttackSamples]:
    """Return the images of the first victim of every attack and target."""
    samples = []
    ordered = victims.sort_values(["rate", "seed", "model", "recipe"])
    for (attack, _), rows in ordered.groupby([ordered["attack"], ordered["target"].astype(str)]):
        arrays = report.artifact(str(rows["key"].iloc[0]), "samples")
        if arrays is not None:
            samples.append(AttackSamples(str(attack), arrays["clean"], arrays["triggered"]))
    return samples


def gallery_data(samples: list[AttackSamples]) -> pd.DataFrame:
    """Return how far the trigger moves each image: changed pixels, L2, L-infinity, in 0..1."""
    rows = []
    for sample in samples:
        change = np.abs(sample.triggered.astype(float) - sample.clean) / 255
        for index, image in enumerate(change):
            rows.append(
                {
                    "attack": sample.attack,
                    "image": index,
                    "changed_pixels": float((image.max(0) > 0).mean()),
                    "l2": float(np.sqrt((image**2).sum())),
                    "linf": float(image.max()),
                }
            )
    return pd.DataFrame(rows)


def draw(samples: list[AttackSamples], group: BoardGroup) -> Figure:
    """Return the figure: a row per attack, with clean, triggered and change of some images."""
    n_images = min(MAX_IMAGES, *(len(sample.clean) for sample in samples))
    n_columns = len(VIEWS) * n_images
    width = group.paper.page_inches
    size = (width - LABEL_WIDTH) / n_columns
    fig = Figure(figsize=(width, min(TALLEST, len(samples) * size + 0.25)))
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    fig.set_layout_engine(layout)
    grid = fig.subplots(len(samples), n_columns, squeeze=False)
    for row, sample in zip(grid, samples, strict=True):
        _draw_row(row, sample, n_images, group.names.of("attack", sample.attack))
    for axes, view in zip(grid[0], cycle(VIEWS), strict=False):
        axes.set_title(view)
    return fig


def _draw_row(row: Any, sample: AttackSamples, n_images: int, name: str) -> None:
    images = [pixels for index in range(n_images) for pixels in _views(sample, index)]
    for axes, pixels in zip(row, images, strict=True):
        axes.set_axis_off()
        _draw_image(axes, pixels)
    label, left = fill(name, 16), row[0]
    left.text(-0.1, 0.5, label, transform=left.transAxes, ha="right", va="center")


def _views(sample: AttackSamples, index: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Return an image clean, triggered, and the change between them."""
    clean, triggered = sample.clean[index], sample.triggered[index]
    change = np.abs(triggered.astype(float) - clean)
    return clean, triggered, (255 * change / max(1.0, change.max())).astype(np.uint8)


def _draw_image(axes: Axes, pixels: np.ndarray[Any, Any]) -> None:
    """Draw uint8 (C, H, W)."""
    grey = len(pixels) == 1
    shown = pixels[0] if grey else pixels.transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
