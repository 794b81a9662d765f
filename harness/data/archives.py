"""Folders as the archives of CIFAR, GTSRB and Tiny-ImageNet leave them, and as BackdoorBench keeps them.

``cifar-10-batches-py`` and ``cifar-100-python`` hold pickles, ``Train`` and ``Test`` GTSRB's .ppm
files with a table of test labels, ``tiny-imagenet-200`` pictures by class. Each is found in the
given folder or is it.
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
from harness.data.splits import Encoded, RawDataset, Split, join
from harness.errors import UserError

SIDE = 32
GTSRB_LABELS = "GT-final_test.csv"
Pixels = NDArray[np.uint8]


class ArchiveLayout(NamedTuple):
    """A folder whose layout is known."""

    files: tuple[Path, ...]
    """Everything that it is read from."""
    read: Callable[[], RawDataset]


def layout(folder: Path) -> ArchiveLayout | None:
    """Return what a folder is, or None when it has none of the layouts."""
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
    folder: Path, parts: tuple[list[Path], list[Path]], meta: tuple[Path, bytes, bytes]
) -> ArchiveLayout:
    table, names_key, labels_key = meta
    files = (*parts[0], *parts[1], table)
    _all_there(files)

    def read() -> RawDataset:
        names = read_pickle(table).get(names_key)
        if not isinstance(names, list):
            raise UserError(f"{table}: no {names_key.decode()!r}; fetch it anew")
        train, test = (_batches(part, labels_key) for part in parts)
        return join(
            train, test, tuple(x.decode() if isinstance(x, bytes) else str(x) for x in names)
        )

    return ArchiveLayout(files, read)


def _batches(files: list[Path], labels_key: bytes) -> Split:
    pixels: list[Pixels] = []
    labels: list[int] = []
    for path in files:
        batch = read_pickle(path)
        data, given = batch.get(b"data"), batch.get(labels_key)
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.shape[1:] != (3 * SIDE**2,)
        ):
            raise UserError(f"{path}: no 'data' of (N, {3 * SIDE**2}) bytes; fetch it anew")
        if not isinstance(given, list) or len(given) != len(data):
            raise UserError(
                f"{path}: {len(data)} images need as many {labels_key.decode()!r}; fetch it anew"
            )
        pixels.append(data)
        labels += given
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
    _all_there((table,))
    rows = _rows(table)
    test = tuple(folder / "Test" / name for name, _ in rows)
    _all_there(test)

    def read() -> RawDataset:
        labels = [_number(path.parent.name, path) for path in train]
        return join(
            _pictures(f"{folder}/Train", train, labels),
            _pictures(f"{folder}/Test", test, [label for _, label in rows]),
            None,
        )

    return ArchiveLayout((*train, table, *test), read)


def _rows(table: Path) -> list[tuple[str, int]]:
    """Return file name and class of every test image."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        return [(row["Filename"], _number(row["ClassId"], table)) for row in rows]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table}: a table with Filename and ClassId, parted by ';', is needed"
        ) from error


def _number(text: str | None, where: Path) -> int:
    if text is None or not text.isdecimal():
        raise UserError(f"{where}: {text!r} is no class number")
    return int(text)


def _tiny(folder: Path) -> ArchiveLayout:
    splits = (_by_class(folder / "train"), _annotated(folder / "val") or _by_class(folder / "val"))
    for name, found in zip(("train", "val"), splits, strict=True):
        if not found:
            raise UserError(
                f"{folder / name}: no images; they belong into {name}/<class>/ or {name}/<class>/images/"
            )
    names = sorted({label for _, label in splits[0]})
    files = tuple(path for split in splits for path, _ in split)

    def read() -> RawDataset:
        number = {name: index for index, name in enumerate(names)}
        for path, label in splits[1]:
            if label not in number:
                raise UserError(f"{path}: class {label!r} has no training image")
        train, test = (
            _pictures(
                str(folder / part), tuple(path for path, _ in split), [number[x] for _, x in split]
            )
            for part, split in zip(("train", "val"), splits, strict=True)
        )
        return join(train, test, tuple(names))

    return ArchiveLayout(files, read)


def _by_class(folder: Path) -> list[tuple[Path, str]]:
    """Return images as <class>/<image> or <class>/images/<image>, with their classes."""
    found = sorted([*folder.glob("*/*.JPEG"), *folder.glob("*/images/*.JPEG")])
    named = [(path, path.relative_to(folder).parts[0]) for path in found]
    return [(path, label) for path, label in named if not label.startswith(".")]


def _annotated(folder: Path) -> list[tuple[Path, str]]:
    """Return the validation images as the archive has them: one folder and a table."""
    table = folder / "val_annotations.txt"
    if not table.is_file() or not (folder / "images").is_dir():
        return []
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    found = [(folder / "images" / row[0], row[1]) for row in rows if len(row) > 1]
    _all_there(tuple(path for path, _ in found))
    return found


def _pictures(where: str, paths: tuple[Path, ...], labels: list[int]) -> Split:
    def fetch(start: int, stop: int) -> list[Encoded]:
        return list(paths[start:stop])

    return Split(
        where=where,
        labels=check_labels(labels, "int64", where),
        fetch=fetch,
        names=lambda: [path.name for path in paths],
    )


def _all_there(files: tuple[Path, ...]) -> None:
    missing = next((path for path in files if not path.is_file()), None)
    if missing is not None:
        raise UserError(f"{missing} is missing; fetch the data set anew")
