"""Reads the extracted archives of CIFAR, GTSRB and Tiny-ImageNet, also as BackdoorBench keeps them.

``cifar-10-batches-py`` and ``cifar-100-python`` hold pickles; ``Train`` and ``Test`` hold GTSRB's
.ppm files and a table of test labels; ``tiny-imagenet-200`` holds images by class. The given folder
is one of these or contains it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.labels import check_labels
from harness.data.safe_pickle import read_pickle
from harness.data.splits import Encoded, RawDataset, Split, join_splits
from harness.errors import UserError

SIDE = 32
GTSRB_LABELS = "GT-final_test.csv"


class ArchiveLayout(NamedTuple):
    """How to read a folder whose layout is known."""

    files: tuple[Path, ...]
    """All files that are read."""
    read: Callable[[], RawDataset]


def find_layout(folder: Path) -> ArchiveLayout | None:
    """Return a folder's layout, or ``None`` if it is not one of an archive."""
    for name, make in (
        ("cifar-10-batches-py", _cifar10),
        ("cifar-100-python", _cifar100),
        ("tiny-imagenet-200", _tiny),
    ):
        inner = folder if folder.name == name else folder / name
        if inner.is_dir():
            return make(inner)
    if (folder / "Test" / GTSRB_LABELS).is_file() or any((folder / "Train").glob("*/GT-*.csv")):
        return _gtsrb(folder)
    return None


def _cifar10(folder: Path) -> ArchiveLayout:
    batches = [folder / f"data_batch_{number}" for number in range(1, 6)]
    return _cifar(
        folder,
        (batches, [folder / "test_batch"]),
        (folder / "batches.meta", b"label_names", b"labels"),
    )


def _cifar100(folder: Path) -> ArchiveLayout:
    meta = (folder / "meta", b"fine_label_names", b"fine_labels")
    return _cifar(folder, ([folder / "train"], [folder / "test"]), meta)


def _cifar(
    folder: Path, splits: tuple[list[Path], list[Path]], meta: tuple[Path, bytes, bytes]
) -> ArchiveLayout:
    table, names_key, labels_key = meta
    files = (*splits[0], *splits[1], table)
    _require(files)

    def read() -> RawDataset:
        names = _class_names(table, names_key)
        train, test = (_batches(batches, labels_key) for batches in splits)
        return join_splits(train, test, names)

    return ArchiveLayout(files, read)


def _class_names(table: Path, key: bytes) -> tuple[str, ...]:
    names = read_pickle(table).get(key)
    if not isinstance(names, list) or not all(isinstance(x, str | bytes) for x in names):
        raise UserError(f"{table}: no {key.decode()!r}; download it again")
    texts = [x if isinstance(x, bytes) else x.encode("utf-8", "replace") for x in names]
    return tuple(x.decode("utf-8", "replace") for x in texts)


def _batches(files: list[Path], labels_key: bytes) -> Split:
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for path in files:
        batch = read_pickle(path)
        data, batch_labels = batch.get(b"data"), batch.get(labels_key)
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.shape[1:] != (3 * SIDE**2,)
        ):
            raise UserError(f"{path}: no 'data' of (N, {3 * SIDE**2}) bytes; download it again")
        if not isinstance(batch_labels, list) or len(batch_labels) != len(data):
            raise UserError(
                f"{path}: {len(data)} images need as many {labels_key.decode()!r}; "
                "download it again"
            )
        pixels.append(data)
        labels += batch_labels
    images = np.concatenate(pixels).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    where = f"{files[0].parent}, {files[0].name}"
    return Split(
        where=where,
        labels=check_labels(labels, "int64", where),
        fetch=lambda a, b: list(images[a:b]),
    )


def _gtsrb(folder: Path) -> ArchiveLayout:
    train = tuple(sorted((folder / "Train").glob("*/*.ppm")))
    table = folder / "Test" / GTSRB_LABELS
    _require((table,))
    rows = _rows(table)
    test = tuple(folder / "Test" / name for name, _ in rows)
    _require(test)

    def read() -> RawDataset:
        labels = [_number(path.parent.name, path) for path in train]
        return join_splits(
            _image_files(f"{folder}/Train", train, labels),
            _image_files(f"{folder}/Test", test, [label for _, label in rows]),
            None,
        )

    return ArchiveLayout((*train, table, *test), read)


def _rows(table: Path) -> list[tuple[str, int]]:
    """Return the file name and the class of every test image."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        return [(row["Filename"], _number(row["ClassId"], table)) for row in rows]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table}: needs the columns Filename and ClassId, separated by ';'"
        ) from error


def _number(text: str | None, where: Path) -> int:
    if text is None or not text.isdecimal():
        raise UserError(f"{where}: {text!r} is not a class number")
    return int(text)


def _tiny(folder: Path) -> ArchiveLayout:
    splits = (_by_class(folder / "train"), _annotated(folder / "val") or _by_class(folder / "val"))
    for name, images in zip(("train", "val"), splits, strict=True):
        if not images:
            raise UserError(
                f"{folder / name}: no images; they belong in {name}/<class>/ "
                f"or {name}/<class>/images/"
            )
    names = sorted({label for _, label in splits[0]})
    files = tuple(path for split in splits for path, _ in split)

    def read() -> RawDataset:
        number = {name: index for index, name in enumerate(names)}
        for path, label in splits[1]:
            if label not in number:
                raise UserError(f"{path}: class {label!r} has no training image")
        train, test = (
            _image_files(
                str(folder / name), tuple(path for path, _ in split), [number[x] for _, x in split]
            )
            for name, split in zip(("train", "val"), splits, strict=True)
        )
        return join_splits(train, test, tuple(names))

    return ArchiveLayout(files, read)


def _by_class(folder: Path) -> list[tuple[Path, str]]:
    """Return the images <class>/<image> and <class>/images/<image> with their classes."""
    paths = sorted([*folder.glob("*/*.JPEG"), *folder.glob("*/images/*.JPEG")])
    named = [(path, path.relative_to(folder).parts[0]) for path in paths]
    return [(path, label) for path, label in named if not label.startswith(".")]


def _annotated(folder: Path) -> list[tuple[Path, str]]:
    """Return the validation images with their classes, if they are one folder and a table."""
    table = folder / "val_annotations.txt"
    if not table.is_file() or not (folder / "images").is_dir():
        return []
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    images = [(folder / "images" / row[0], row[1]) for row in rows if len(row) > 1]
    _require(tuple(path for path, _ in images))
    return images


def _image_files(where: str, paths: tuple[Path, ...], labels: list[int]) -> Split:
    def fetch(start: int, stop: int) -> list[Encoded]:
        return list(paths[start:stop])

    return Split(
        where=where,
        labels=check_labels(labels, "int64", where),
        fetch=fetch,
        names=lambda: [path.name for path in paths],
    )


def _require(files: tuple[Path, ...]) -> None:
    missing = next((path for path in files if not path.is_file()), None)
    if missing is not None:
        raise UserError(f"{missing} is missing; download the data set again")
