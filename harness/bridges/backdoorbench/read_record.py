"""Reads a BackdoorBench record: ``attack_result.pt`` and the image folders next to it.

In the format of its branches v2 and main, the file is a plain dict with the weights and, for the
training and the test set, the indices of the changed samples, their labels and the paths of their
PNG files (or, without a folder, the images themselves). In the format of v1, which is read too, the
images are in the file.

The last three parts of a path are taken as relative to the record's folder, wherever it is now.
"""

from __future__ import annotations

import csv
import reprlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from harness.bridges.backdoorbench.record_folder import RESULT
from harness.bridges.files.images import ImageFile
from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import Weights, state_dict_in
from harness.data.labels import IntLabels
from harness.data.pickle_standins import (
    ArrayStandIn,
    ImageStandIn,
)
from harness.errors import UserError

AXES = 3
LARGEST_SIDE, MOST_CLASSES = 8192, 1_000_000
COLUMNS = {"acc": "test_acc", "asr": "test_asr", "ra": "test_ra", "cross": "test_cross_acc"}
"""The columns of the tables, by our names of the scores."""
KEYS = ("model_name", "num_classes", "model", "img_size", "clean_data", "bd_train", "bd_test")


class ChangedSamples(NamedTuple):
    """Samples that the attack changed, ordered by index."""

    indices: NDArray[np.int64]
    """Indices in the clean data set, (n,)."""
    wanted: IntLabels
    """The labels that the attacker gives them, (n,)."""
    original: IntLabels | None
    """True labels, (n,); unknown for the training set in the format of v1."""
    images: list[ImageFile]

    def where(self, mask: NDArray[np.bool_]) -> ChangedSamples:
        """Return the samples at which a mask (n,) is true."""
        original = None if self.original is None else self.original[mask]
        images = [image for image, keep in zip(self.images, mask, strict=True) if keep]
        return ChangedSamples(self.indices[mask], self.wanted[mask], original, images)


class BackdoorBenchRecord(NamedTuple):
    """The content of a record."""

    model: str
    classes: int
    data: str
    size: tuple[int, int, int]
    """(H, W, C)."""
    weights: Weights
    train: ChangedSamples | None
    """None if the attack wrote no poisoned training set."""
    test: ChangedSamples
    """Only the samples whose label the attacker changes; ASR and RA are measured on them."""


def read_record(folder: Path) -> BackdoorBenchRecord:
    """Read a record; its images stay on disk.

    Raises:
        UserError: the record is broken or unsafe, in one line.
    """
    path = folder / RESULT
    content = load_file(path)
    keys = content.keys() if isinstance(content, dict) else set()
    if missing := [key for key in KEYS if key not in keys]:
        raise UserError(
            f"{path}: not an attack result of BackdoorBench: {', '.join(missing)} missing"
        )
    try:
        classes = _whole(content["num_classes"], "'num_classes'", MOST_CLASSES, least=1)
        train, test = (
            _in_range(_samples(content[name], folder), classes, name)
            for name in ("bd_train", "bd_test")
        )
        if test is None or test.original is None:
            raise ValueError("'bd_test' is empty")
        return BackdoorBenchRecord(
            model=_text(content["model_name"], "'model_name'"),
            classes=classes,
            data=_text(content["clean_data"], "'clean_data'"),
            size=_size(content["img_size"]),
            weights=state_dict_in(content["model"], str(path)),
            train=train,
            test=test.where(test.wanted != test.original),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: not in BackdoorBench's format ({type(error).__name__}: {reason})"
        ) from error


def _whole(value: Any, what: str, most: int, *, least: int = 0) -> int:
    """Return a whole number, also one in a tensor or a float.

    Raises:
        ValueError: anything else, or out of range; ``what`` is its name.
    """
    number = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if type(number) is not int or not least <= number <= most:
        raise ValueError(
            f"{what} is {reprlib.repr(value)}, not a whole number from {least} to {most}"
        )
    return number


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{what} is {reprlib.repr(value)}, not a name")
    return value


def _size(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, Sequence) or len(value) != AXES:
        raise ValueError(f"'img_size' is {reprlib.repr(value)}, not height, width and channels")
    limits = (LARGEST_SIDE, LARGEST_SIDE, AXES)
    height, width, channels = (
        _whole(x, "a number of 'img_size'", most, least=1)
        for x, most in zip(value, limits, strict=True)
    )
    return height, width, channels


def _in_range(samples: ChangedSamples | None, classes: int, name: str) -> ChangedSamples | None:
    """Return samples whose labels are classes, and whose indices differ.

    Raises:
        ValueError: they are not.
    """
    if samples is None:
        return None
    columns = [samples.wanted, *([] if samples.original is None else [samples.original])]
    if len(np.unique(samples.indices)) != len(samples.indices):
        raise ValueError(f"{name!r} has an index twice")
    for labels in columns:
        if len(wrong := np.flatnonzero((labels < 0) | (labels >= classes))):
            raise ValueError(
                f"{name!r} has the label {labels[wrong[0]]} at the index "
                f"{samples.indices[wrong[0]]}, but the classes are 0 to {classes - 1}"
            )
    return samples


def _samples(state: Any, folder: Path) -> ChangedSamples | None:
    if state is None:
        return None
    if "x" in state:
        return _samples_of_v1(state)
    entries = state["bd_data_container"]["data_dict"]
    indicator, rows = _numbers(state["poison_indicator"]), _numbers(state["original_index_array"])
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(indicator):
        raise ValueError(
            f"an index out of range: {rows.min()} to {rows.max()} of {len(indicator)} samples"
        )
    indices = np.unique(rows[indicator[rows] == 1])
    samples = [_sample(entries[int(index)], folder) for index in indices]
    wanted, original = (np.array([x[column] for x in samples], np.int64) for column in (1, 2))
    return ChangedSamples(indices, wanted, original, [image for image, _, _ in samples])


def _sample(entry: Any, folder: Path) -> tuple[ImageFile, int, int]:
    """Return an entry's image, on disk or in the file, its wanted and its original label."""
    if isinstance(entry, Mapping):
        wanted, original = entry["other_info"][:2]
        image: ImageFile = _relocate(_text(entry["path"], "a path"), folder)
    else:
        pixels, wanted, original = entry
        image = _pixels(pixels)
    wanted, original = (
        _whole(x, "a label", MOST_CLASSES, least=-MOST_CLASSES) for x in (wanted, original)
    )
    return image, wanted, original


def _samples_of_v1(state: Mapping[str, Any]) -> ChangedSamples | None:
    """Read the training or the test set of the format of v1."""
    if state["x"] is None:
        return None
    indices, wanted = _numbers(state["original_index"]), _numbers(state["y"])
    original = _numbers(state["original_targets"]) if "original_targets" in state else None
    images = [_pixels(image) for image in state["x"]]
    if {len(x) for x in (wanted, images, indices if original is None else original)} != {
        len(indices)
    }:
        raise ValueError("other numbers of images, labels and indices")
    order = np.argsort(indices, kind="stable")
    original = None if original is None else original[order]
    return ChangedSamples(indices[order], wanted[order], original, [images[row] for row in order])


def _pixels(image: Any) -> NDArray[np.uint8]:
    if not isinstance(image, ImageStandIn):
        raise TypeError(f"an image is needed, not a {type(image).__name__}")
    return image.pixels


def _relocate(path: str, folder: Path) -> Path:
    """Return ``<set>/<label>/<index>.png``, the end of a path, below the record's folder."""
    parts = PurePosixPath(path.replace("\\", "/")).parts[-3:]
    if len(parts) < 3 or ".." in parts or PurePosixPath(*parts).is_absolute():
        raise ValueError(f"the path {path!r} does not end as <set>/<label>/<index>.png")
    return folder.joinpath(*parts)


def _numbers(value: Any) -> NDArray[np.int64]:
    """Return an array, a list or a tensor of integers as int64 (n,)."""
    plain = value.values if isinstance(value, ArrayStandIn) else value
    if isinstance(plain, torch.Tensor):
        if plain.nbytes > plain.untyped_storage().nbytes():
            raise ValueError("a tensor that repeats its values")
        plain = plain.numpy()
    elif not isinstance(plain, np.ndarray) and not all(isinstance(x, int | float) for x in plain):
        raise ValueError("a list of integers is needed")
    numbers = np.asarray(plain)
    with np.errstate(invalid="ignore"):
        integers = numbers.astype(np.int64)
    if numbers.ndim != 1 or not np.array_equal(integers, numbers):
        raise ValueError("a list of integers is needed")
    return integers


def reported_scores(folder: Path) -> dict[str, float]:
    """Return acc, asr, ra and cross of the last epoch, as far as the record's tables have them.

    The summary has the last epoch also where the table itself ends before it (Input-aware). LIRA
    writes tables of two stages; the second one ends with the network of the record.

    Raises:
        UserError: a table is damaged.
    """
    for stage in ("", "_atk_stg2", "_atk_stg1"):
        last = _last_row(folder / f"attack_df{stage}.csv")
        last |= _last_row(folder / f"attack_df_summary{stage}.csv", "last")
        if last:
            return {name: last[column] for name, column in COLUMNS.items() if column in last}
    return {}


def _last_row(path: Path, name: str | None = None) -> dict[str, float]:
    """Return the scores in a table's last row, or in the last one of a name, by column."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = (x for x in csv.DictReader(file) if name is None or x.get("") == name)
            (last,) = deque(rows, maxlen=1) or ({},)
    except csv.Error as error:
        raise UserError(f"{path}: a damaged table ({error}); fix or remove it") from error
    scores = {column: _score(last.get(column)) for column in COLUMNS.values()}
    return {column: score for column, score in scores.items() if score is not None}


def _score(text: str | None) -> float | None:
    """Return a cell of the table as a number in [0, 1]; None for anything else, as 'nan_value'."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
