"""Reads a record of BackdoorBench: ``attack_result.pt`` and the folders of images beside it.

The format of its branches v2 and main is read whole: a plain dict with the weights, and for the
training and the test set the indices of the changed samples, their labels and the paths of their
PNG files (or, without a folder, the images themselves). The format of v1 holds the images in the
file; it is read too.

Paths are taken as relative to the record's folder, wherever it lies now.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.bridges.backdoorbench.record_folder import RESULT
from harness.bridges.files.images import ImageFile
from harness.bridges.files.pickle_standins import ForeignArray, ForeignImage
from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import Weights, state_dict_in
from harness.errors import UserError

KEYS = ("model_name", "num_classes", "model", "img_size", "clean_data", "bd_train", "bd_test")
Labels = NDArray[np.int64]


class Samples(NamedTuple):
    """Samples that the attack changed, in order of their indices."""

    indices: Labels
    """In the clean data set, (n,)."""
    wanted: Labels
    """The label that the attacker gave them, (n,)."""
    original: Labels | None
    """Their true labels, (n,); of the training set in the format of v1 unknown."""
    pictures: list[ImageFile]

    def where(self, chosen: NDArray[np.bool_]) -> Samples:
        """Return some of them."""
        original = None if self.original is None else self.original[chosen]
        pictures = [x for x, keep in zip(self.pictures, chosen, strict=True) if keep]
        return Samples(self.indices[chosen], self.wanted[chosen], original, pictures)


class BenchRecord(NamedTuple):
    """What a record says."""

    model: str
    classes: int
    data: str
    size: tuple[int, int, int]
    """(H, W, C)."""
    weights: Weights
    train: Samples | None
    """None where the attack left no poisoned training set."""
    test: Samples
    """Only those whose label the attacker changed: what ASR and RA are taken on."""


def read_record(folder: Path) -> BenchRecord:
    """Read a record; its images stay on disk.

    Raises:
        UserError: one line that says what is wrong with it.
    """
    path = folder / RESULT
    found = load_file(path)
    if not isinstance(found, dict) or not all(key in found for key in KEYS):
        held = found if isinstance(found, dict) else {}
        lacking = ", ".join(key for key in KEYS if key not in held)
        raise UserError(f"{path}: no attack result of BackdoorBench: {lacking} missing")
    try:
        train, test = _samples(found["bd_train"], folder), _samples(found["bd_test"], folder)
        height, width, channels = map(int, found["img_size"])
        if test is None or test.original is None:
            raise ValueError("'bd_test' is empty")
        return BenchRecord(
            model=str(found["model_name"]),
            classes=int(found["num_classes"]),
            data=str(found["clean_data"]),
            size=(height, width, channels),
            weights=state_dict_in(found["model"], str(path)),
            train=train,
            test=test.where(test.wanted != test.original),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path}: not laid out as BackdoorBench does it ({type(error).__name__}: {error})"
        ) from error


def _samples(state: Any, folder: Path) -> Samples | None:
    if state is None:
        return None
    if "x" in state:
        return _first_format(state)
    entries = state["bd_data_container"]["data_dict"]
    indicator, rows = _numbers(state["poison_indicator"]), _numbers(state["original_index_array"])
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(indicator):
        raise ValueError(
            f"an index out of range: {rows.min()} to {rows.max()} of {len(indicator)} samples"
        )
    indices = np.unique(rows[indicator[rows] == 1])
    changed = [_sample(entries[int(index)], folder) for index in indices]
    wanted, original = (np.array([x[part] for x in changed], np.int64) for part in (1, 2))
    return Samples(indices, wanted, original, [x[0] for x in changed])


def _sample(entry: Any, folder: Path) -> tuple[ImageFile, int, int]:
    """Return picture, wanted and original label of an entry, on disk or in the file."""
    if isinstance(entry, Mapping):
        wanted, original = entry["other_info"][:2]
        return _rerooted(str(entry["path"]), folder), int(wanted), int(original)
    picture, wanted, original = entry
    return _in_the_file(picture), int(wanted), int(original)


def _first_format(state: Mapping[str, Any]) -> Samples | None:
    """Read the training or the test set of the format of v1."""
    if state["x"] is None:
        return None
    indices, wanted = _numbers(state["original_index"]), _numbers(state["y"])
    original = _numbers(state["original_targets"]) if "original_targets" in state else None
    order = np.argsort(indices, kind="stable")
    pictures = [_in_the_file(x) for x in state["x"]]
    ordered = [pictures[place] for place in order]
    return Samples(
        indices[order], wanted[order], None if original is None else original[order], ordered
    )


def _in_the_file(picture: Any) -> NDArray[np.uint8]:
    if not isinstance(picture, ForeignImage):
        raise TypeError(f"an image is needed, not a {type(picture).__name__}")
    return picture.pixels


def _rerooted(path: str, folder: Path) -> Path:
    """Return where a file of ``<set>/<label>/<index>.png`` lies, whatever came before it."""
    parts = PurePosixPath(path.replace("\\", "/")).parts[-3:]
    if len(parts) < 3 or ".." in parts or PurePosixPath(*parts).is_absolute():
        raise ValueError(f"the path {path!r} does not end as <set>/<label>/<index>.png")
    return folder.joinpath(*parts)


def _numbers(value: Any) -> Labels:
    """Return an array, a list or a tensor of whole numbers as int64 (n,)."""
    plain = value.values if isinstance(value, ForeignArray) else value
    found = np.asarray(plain if isinstance(plain, Sequence | np.ndarray) else plain.tolist())
    with np.errstate(invalid="ignore"):
        whole = found.astype(np.int64)
    if found.ndim != 1 or not np.array_equal(whole, found):
        raise ValueError("whole numbers in one row are needed")
    return whole


def reported(folder: Path) -> dict[str, float]:
    """Return what the record's own table says of the last epoch: acc, asr, ra and cross, where it does."""
    path = folder / "attack_df.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        (last,) = deque(csv.DictReader(file), maxlen=1) or ({},)
    columns = {name: f"test_{name}" for name in ("acc", "asr", "ra")} | {"cross": "test_cross_acc"}
    return {
        name: x for name, column in columns.items() if (x := _share(last.get(column))) is not None
    }


def _share(text: str | None) -> float | None:
    """Return a cell of the table as a number in [0, 1]; None for anything else ('nan_value' among it)."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
