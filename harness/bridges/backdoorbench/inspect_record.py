"""A first look at foreign files, before any training: what a record says, and whether weights fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.bridges.backdoorbench.read_record import BackdoorBenchRecord, Samples, read_record
from harness.bridges.backdoorbench.record_folder import RESULT, images_of_test_sets
from harness.bridges.files.images import decode_images
from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import match_state_dict, state_dict_in
from harness.contract import ModelInfo, Target
from harness.data.info import DataInfo
from harness.errors import UserError
from harness.plan.keys import file_digest
from harness.plan.spec import MethodSpec
from harness.training.network import build


class PoisonKinds(NamedTuple):
    """The changed training samples of a record, by what they are: indices, int64 (n,) each."""

    backdoors: NDArray[np.int64]
    covers: NDArray[np.int64]
    """Cross samples: noise or foreign triggers, with their own label."""
    unclear: NDArray[np.int64]
    """Samples of the target class, which carry the target label either way, where there are
    covers."""


def inspect_record(folder: Path) -> dict[str, Any]:
    """Return what a plan needs to know of a record, as JSON values; all of its test images are decoded.

    Raises:
        UserError: one line that says what is wrong with it.
    """
    record = read_record(folder)
    height, width, channels = record.size
    decode_images(record.test.pictures, (channels, height, width))
    target = target_of(record, folder)
    train, test = record.train, record.test
    parted = (
        None if train is None or train.original is None else split_poison_kinds(train, train.original, target)
    )
    poisoned = len(parted.backdoors) if parted else 0 if train is None else len(train.indices)
    assert test.original is not None
    return {
        "digest": record_digest(folder),
        "model": record.model,
        "classes": record.classes,
        "data": record.data,
        "shape": [channels, height, width],
        "target": target,
        "poisoned": poisoned,
        "indices": test.indices.tolist(),
        "labels": test.original.tolist(),
    }


def record_digest(folder: Path) -> str:
    """Return the digest of what an import reads of a record: its result and its test images."""
    total = hashlib.sha256()
    for path in (folder / RESULT, *images_of_test_sets(folder)):
        total.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return total.hexdigest()[:24]


def target_of(record: BackdoorBenchRecord, folder: Path) -> Target:
    """Return where the attack sends the test images.

    Raises:
        UserError: neither to one class nor every class to the next.
    """
    wanted, original = record.test.wanted, record.test.original
    if len(wanted) == 0 or original is None:
        raise UserError(f"{folder / RESULT}: it has no triggered test image with a changed label")
    if (wanted == wanted[0]).all():
        return int(wanted[0])
    if (wanted == (original + 1) % record.classes).all():
        return "all-to-all"
    raise UserError(
        f"{folder / RESULT}: its labels lead neither to one class nor from each class to the next"
    )


def split_poison_kinds(train: Samples, labels: NDArray[np.int64], target: Target) -> PoisonKinds:
    """Tell backdoors from cross samples; ``labels`` are the true ones of the samples.

    A record marks both alike. A changed label is a backdoor. An unchanged one outside the target
    class is a cross sample. Inside the target class it is a backdoor, except where there are cross
    samples: then it can't be told.
    """
    kept = train.wanted == labels
    at_target = kept & (labels == target) if isinstance(target, int) else np.zeros_like(kept)
    covers = kept & ~at_target
    unclear = at_target if covers.any() else np.zeros_like(kept)
    return PoisonKinds(
        train.indices[~covers & ~unclear], train.indices[covers], train.indices[unclear]
    )


def inspect_weights(path: Path, model: MethodSpec[ModelInfo], data: DataInfo) -> dict[str, Any]:
    """Hold the weights of a file against an architecture; return the digest of the file.

    Raises:
        UserError: the file can't be loaded safely, or names the keys that differ.
    """
    weights = state_dict_in(load_file(path), str(path))
    match_state_dict(weights, build(model, data).get_submodule("net"), str(path))
    return {"digest": file_digest(path)[:24]}
