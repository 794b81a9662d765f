"""A data set as it was found: encoded images, fetched in batches, and checked labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.labels import class_names

Encoded = bytes | Path | NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split, not yet decoded.

    Attributes:
        where: the split and its place, for messages.
        labels: (N,) classes from 0.
        fetch: images from one row up to another, as file content, path, or (H, W[, 3]) pixels;
            ``None`` where the row has no image.
        column: the image column, for messages; empty when the images are not in a table.
        names: the images' file names, where they have any.
        groups: (N,) numbers, the same for images that are near copies of each other; ``None`` if
            unknown.
    """

    where: str
    labels: NDArray[np.int64]
    fetch: Callable[[int, int], list[Encoded]]
    column: str = ""
    names: Callable[[], list[str]] | None = None
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """A data set, not yet decoded: its two splits and the names of its classes."""

    train: Split
    test: Split
    names: tuple[str, ...]


def join(train: Split, test: Split, names: tuple[str, ...] | None) -> RawDataset:
    """Join two splits, with the class names that the data set gives or ``None``.

    Raises:
        UserError: the labels do not run from 0 without a gap.
    """
    names = class_names((train.where, train.labels), (test.where, test.labels), names)
    return RawDataset(train=train, test=test, names=names)
