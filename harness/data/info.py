"""The description of a decoded data set, and its arrays, mapped from disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class DatasetArrays(NamedTuple):
    """A decoded data set, mapped read-only: images (N, C, H, W) uint8, labels (N,) int64."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """One decoded data set.

    Attributes:
        name: its name in the study.
        digest: 16 hexadecimal characters over its pixels and labels.
        folder: the folder of its arrays.
        classes: the number of classes.
        class_names: one per class.
        shape: (C, H, W) of an image.
        train_counts: the number of training images in each class.
        test_count: the number of test images.
        mean: per channel on the [0, 1] scale.
        std: per channel on the [0, 1] scale.
        crop: padding in pixels of the random crop; 0 for none.
        flip: whether training images are mirrored at random.
    """

    name: str
    digest: str
    folder: Path
    classes: int
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    train_counts: tuple[int, ...]
    test_count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: int
    flip: bool

    def identity(self) -> dict[str, Any]:
        """Return everything that can change a result, as plain JSON values; no name and no path."""
        values = {name: getattr(self, name) for name in ("digest", "mean", "std", "crop", "flip")}
        return {name: list(x) if isinstance(x, tuple) else x for name, x in values.items()}


def open_groups(info: DataInfo) -> NDArray[np.int64] | None:
    """Return int64 (N,), equal for training images that are near copies; None if unknown."""
    path = info.folder / "train_groups.npy"
    return np.load(path) if path.is_file() else None


def open_arrays(info: DataInfo) -> DatasetArrays:
    """Map a data set's arrays from disk, read-only."""
    return DatasetArrays(
        *(np.load(info.folder / f"{name}.npy", mmap_mode="r") for name in DatasetArrays._fields)
    )
