"""A data set before decoding: encoded images, fetched in batches, and checked labels."""

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
        where: the data set and the split, for messages.
        labels: (N,) classes, numbered from 0.
        fetch: returns the images from one row up to another, as file content, path, or (H, W[, 3])
            pixels; ``None`` for a row without image.
        column: the image column, for messages; empty if the images are not in a table.
        names: returns the images' file names; ``None`` if they have none.
        groups: (N,) numbers, equal for images that are near copies of each other; ``None`` if
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


def join_splits(train: Split, test: Split, names: tuple[str, ...] | None) -> RawDataset:
    """Join two splits; ``names`` are the data set's names of its classes, or ``None``.

    Raises:
        UserError: the labels are not numbered from 0 without a gap.
    """
    names = class_names((train.where, train.labels), (test.where, test.labels), names)
    return RawDataset(train=train, test=test, names=names)
