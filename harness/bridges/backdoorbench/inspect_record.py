"""Inspects imported files before any training: the facts of a record, and whether weights fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.bridges.backdoorbench.names import sizes_in_weights
from harness.bridges.backdoorbench.read_record import (
    BackdoorBenchRecord,
    ChangedSamples,
    read_record,
)
from harness.bridges.backdoorbench.record_folder import RESULT, images_of_test_sets
from harness.bridges.files.images import decode_images
from harness.contract.attack_types import all_to_all
from harness.errors import UserError
from harness.plan.keys import file_digest

if TYPE_CHECKING:
    from harness.contract import Target


class PoisonKinds(NamedTuple):
    """The changed training samples of a record, by kind: indices, int64 (n,) each."""

    backdoors: NDArray[np.int64]
    covers: NDArray[np.int64]
    """Cross samples: noise or other triggers, with their true label."""
    unclear: NDArray[np.int64]
    """Samples of the target class, if there are covers: they have the target label either way."""


def inspect_record(folder: Path) -> dict[str, Any]:
    """Return the facts of a record that a plan needs, as JSON values; decode all its test images.

    Raises:
        UserError: the record is broken or unsafe, in one line.
    """
    record = read_record(folder)
    height, width, channels = record.size
    decode_images(record.test.images, (channels, height, width))
    target, train, test = target_of(record, folder), record.train, record.test
    if train is None:
        poisoned = 0
    elif train.original is None:
        poisoned = len(train.indices)
    else:
        poisoned = len(split_poison_kinds(train, train.original, target).backdoors)
    assert test.original is not None
    return {
        "digest": record_digest(folder),
        "model": record.model,
        "hyper": sizes_in_weights(record.model, record.weights),
        "classes": record.classes,
        "data": record.data,
        "shape": [channels, height, width],
        "target": target,
        "poisoned": poisoned,
        "indices": test.indices.tolist(),
        "labels": test.original.tolist(),
    }


def record_digest(folder: Path) -> str:
    """Return the digest of the files that an import reads: the record's result and test images."""
    total = hashlib.sha256()
    for path in (folder / RESULT, *images_of_test_sets(folder)):
        total.update(f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode())
    return total.hexdigest()[:24]


def target_of(record: BackdoorBenchRecord, folder: Path) -> Target:
    """Return the target of the attack.

    Raises:
        UserError: neither one class for all test images, nor one shift of the classes.
    """
    wanted, original = record.test.wanted, record.test.original
    if len(wanted) == 0 or original is None:
        raise UserError(f"{folder / RESULT}: it has no triggered test image with a changed label")
    if (wanted == wanted[0]).all():
        return int(wanted[0])
    shift = int(wanted[0] - original[0]) % record.classes
    if (wanted == (original + shift) % record.classes).all():
        return all_to_all(shift)
    labels, counts = np.unique(wanted, return_counts=True)
    shown = ", ".join(f"{label} ({n} images)" for label, n in zip(labels, counts, strict=True))
    raise UserError(
        f"{folder / RESULT}: {len(labels)} target classes, {_shorten(shown)}, and no one shift of "
        "the classes: ASR is defined for one target class or for all-to-all"
    )


def _shorten(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most].rpartition(',')[0]}, ..."


def split_poison_kinds(
    train: ChangedSamples, labels: NDArray[np.int64], target: Target
) -> PoisonKinds:
    """Tell backdoors from cross samples, which a record does not; ``labels`` are the true ones.

    A sample with a changed label is a backdoor. With its true label, it is a cross sample if it is
    not of the target class; of the target class, it is a backdoor if the record has no cross
    samples, and unclear if it has some.
    """
    unchanged = train.wanted == labels
    of_target = unchanged & (labels == target if isinstance(target, int) else False)
    covers = unchanged & ~of_target
    unclear = of_target & covers.any()
    return PoisonKinds(
        train.indices[~covers & ~unclear], train.indices[covers], train.indices[unclear]
    )
