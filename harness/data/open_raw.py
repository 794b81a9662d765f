"""Opens a data set's raw images: embedded digits, image folders, known layouts, and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.gtsrb_tracks import tracks
from harness.data.locate import Files, RawSource
from harness.data.splits import RawDataset, Split, join
from harness.data.tables import read_hub, read_parquet
from harness.errors import UserError


def read(source: RawSource, scratch: Path) -> RawDataset:
    """Open a data set.

    Args:
        source: where it is.
        scratch: an empty folder, kept by the caller for as long as images are fetched.

    Raises:
        UserError: it cannot be read, or its labels or columns are not what they should be.
    """
    raw = _found(source, scratch)
    return _with_tracks(raw) if source.entry.tracks else raw


def _found(source: RawSource, scratch: Path) -> RawDataset:
    if source.layout is not None:
        return source.layout.read()
    if source.files is None:
        return read_hub(source) if source.entry.hub is not None else _digits()
    if source.files[0][0].suffix == ".parquet":
        return read_parquet(source, source.files, scratch)
    return _pictures(source, source.files)


def _with_tracks(raw: RawDataset) -> RawDataset:
    """Return the data set with its training images numbered by track, if their file names tell it."""
    train = raw.train
    groups = None if train.names is None else tracks(train.names(), train.labels)
    return replace(raw, train=replace(train, groups=groups))


def _digits() -> RawDataset:
    """Return scikit-learn's 1,797 digits; every fourth of each class, in file order, is a test image."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            "the data set 'digits' needs scikit-learn; run: pip install 'defuse-bench[digits]'"
        ) from error
    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    rank = np.array([np.count_nonzero(labels[:row] == label) for row, label in enumerate(labels)])
    held = rank % 4 == 3

    def split(where: str, rows: NDArray[np.bool_]) -> Split:
        images = pixels[rows]
        return Split(
            where=where, labels=labels[rows], fetch=lambda start, stop: list(images[start:stop])
        )

    return join(split("digits, train", ~held), split("digits, test", held), None)


def _pictures(source: RawSource, files: Files) -> RawDataset:
    """Open an image folder: classes are the folder names, in numerical order when all are numbers."""
    folders = {path.parent.name for part in files for path in part}
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

    return join(split(0), split(1), tuple(names))
