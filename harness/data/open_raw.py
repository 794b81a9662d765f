"""Opens a data set's raw images: digits, image folders, extracted archives, tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.gtsrb_tracks import number_tracks
from harness.data.locate import Files, RawSource
from harness.data.splits import RawDataset, Split, join_splits
from harness.data.tables import read_hub, read_parquet
from harness.errors import UserError, nearest


def open_raw(source: RawSource, scratch: Path) -> RawDataset:
    """Open a data set.

    Args:
        source: where it is.
        scratch: an empty folder, which must exist for as long as images are fetched.

    Raises:
        UserError: it cannot be read, or has wrong labels or columns.
    """
    raw = _open(source, scratch)
    return _with_tracks(raw) if source.entry.tracks else raw


def _open(source: RawSource, scratch: Path) -> RawDataset:
    if source.layout is not None:
        return source.layout.read()
    if source.files is None:
        return read_hub(source) if source.entry.hub is not None else _digits()
    if source.files[0][0].suffix == ".parquet":
        return read_parquet(source, source.files, scratch)
    return _image_folder(source, source.files)


def _with_tracks(raw: RawDataset) -> RawDataset:
    """Return the data set with track numbers, if the file names of training images have them."""
    train = raw.train
    groups = None if train.names is None else number_tracks(train.names(), train.labels)
    return replace(raw, train=replace(train, groups=groups))


def _digits() -> RawDataset:
    """Return scikit-learn's 1,797 digits; every fourth of each class is a test image."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    rank = np.array([np.count_nonzero(labels[:row] == label) for row, label in enumerate(labels)])
    is_test = rank % 4 == 3

    def split(where: str, rows: NDArray[np.bool_]) -> Split:
        images = pixels[rows]
        return Split(
            where=where, labels=labels[rows], fetch=lambda start, stop: list(images[start:stop])
        )

    return join_splits(split("digits, train", ~is_test), split("digits, test", is_test), None)


def _image_folder(source: RawSource, files: Files) -> RawDataset:
    """Open images by class: folder names are class names, in numerical order if all are numbers.

    Raises:
        UserError: a class has test images, but no training images, or none at all.
    """
    folders, of_test = ({path.parent.name for path in paths} for paths in files)
    for above in sorted((files[0][0].parent.parent).glob("[!.]*/")):
        if above.name not in folders | of_test:
            raise UserError(
                f"{above}: a class without an image that can be read; remove the folder"
            )
    if untrained := sorted(of_test - folders):
        raise UserError(
            f"{source.folder}: the class {untrained[0]!r} has images in "
            f"{source.entry.splits[1]!r}, but none in {source.entry.splits[0]!r}"
            f"{nearest(untrained[0], folders)}"
        )
    numbers = all(name.isdecimal() for name in folders)
    names = sorted(folders, key=lambda name: (int(name) if numbers else 0, name))
    number = {name: index for index, name in enumerate(names)}

    def split(index: int) -> Split:
        paths = files[index]
        labels = np.array([number[path.parent.name] for path in paths], dtype=np.int64)
        where = f"{source.folder}, {source.entry.splits[index]}"
        return Split(
            where=where,
            labels=labels,
            fetch=lambda start, stop: list(paths[start:stop]),
            names=lambda: [path.name for path in paths],
        )

    return join_splits(split(0), split(1), tuple(names))
