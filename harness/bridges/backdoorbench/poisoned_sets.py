"""Poisoned images in BackdoorBench's form: PNG files, and a data set's state that lists them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from harness.bridges.backdoorbench.inspect_record import record_digest
from harness.bridges.backdoorbench.read_record import read_record
from harness.bridges.backdoorbench.record_folder import RESULT
from harness.bridges.files.images import decode_images
from harness.contract import Context, Poison
from harness.data.device_dataset import DeviceDataset
from harness.errors import UserError
from harness.plan.spec import RecordFiles, Victim
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from harness.training.poisoning import attack_data
from harness.training.victim import LoadedVictim, load_victim

DatasetState = dict[str, Any]
"""The state of BackdoorBench's data set class for poisoned images."""


class PoisonedImages(NamedTuple):
    """The images of a data set that an attack changed."""

    indices: NDArray[np.int64]
    """(n,): their indices in the clean data set."""
    images: NDArray[np.uint8]
    """(n, 3, H, W)."""
    labels: NDArray[np.int64]
    """(n,): the attacker's labels; a cover sample keeps its true label."""
    truth: NDArray[np.int64]
    """(n,): the true labels."""
    total: int
    """The number of images in the clean data set."""

    def indicator(self) -> NDArray[np.float64]:
        """Return (total,): 1 for changed images, else 0."""
        indicator = np.zeros(self.total)
        indicator[self.indices] = 1
        return indicator


def poisoned_test(loaded: LoadedVictim) -> PoisonedImages:
    """Return the triggered test images with the labels that the attacker wants."""
    test = loaded.test
    return PoisonedImages(
        indices=test.carries_trigger.nonzero()[:, 0].cpu().numpy(),
        images=test.triggered.cpu().numpy(),
        labels=test.truth.wanted,
        truth=test.truth.triggered,
        total=len(test.clean),
    )


def poisoned_training(
    victim: Victim, data: DeviceDataset, ctx: Context, store: Store, latest: LatestRecords
) -> PoisonedImages | None:
    """Return the poisoned training images; run the attack for them, the store has only indices.

    Those of an imported victim are read from the record that it came from. ``None`` for an attack
    that controls training, which poisons each batch differently, and for a checkpoint.

    Raises:
        UserError: the attack now poisons other images than those in the victim's record, or the
            record that an imported victim came from is gone or has changed.
    """
    record = latest.victim(victim.key)
    assert record is not None
    name = record.ok_result.artifacts.poison
    if isinstance(victim.source, RecordFiles):
        return _imported_training(victim.source, data)
    if name is None or victim.source.imported:
        return None
    clean = None
    if victim.clean is not None:
        clean_record = latest.victim(victim.clean.key)
        assert clean_record is not None
        clean = load_victim(victim.clean, clean_record, data, ctx.device, store).model
    poison = attack_data(victim, data, clean, replace(ctx, scalars=[]), store)
    saved = store.get(name)
    indices = torch.tensor([*saved["indices"], *saved["covers"]])
    if not isinstance(poison, Poison) or not torch.equal(poison.indices.cpu(), indices):
        raise UserError(
            f"{victim.name}: the attack now poisons other images than those in its record; "
            "train it again"
        )
    return PoisonedImages(
        indices=poison.indices.cpu().numpy(),
        images=poison.images.cpu().numpy(),
        labels=poison.labels.cpu().numpy(),
        truth=data.train_labels[poison.indices].cpu().numpy(),
        total=len(data.train_labels),
    )


def _imported_training(source: RecordFiles, data: DeviceDataset) -> PoisonedImages | None:
    """Return the changed training images of a record of BackdoorBench; None if it has none."""
    folder = Path(source.path)
    if not (folder / RESULT).is_file() or record_digest(folder) != source.digest:
        raise UserError(f"{folder}: is gone or has changed since it was imported")
    train = read_record(folder).train
    if train is None or not len(train.indices):
        return None
    labels = data.train_labels.cpu().numpy()
    return PoisonedImages(
        indices=train.indices,
        images=decode_images(train.images, data.info.shape),
        labels=train.wanted,
        truth=labels[train.indices] if train.original is None else train.original,
        total=len(labels),
    )


def save_poisoned(
    poisoned: PoisonedImages, home: Path, folder: str, *, only_poisoned: bool
) -> DatasetState:
    """Write PNG files to ``home/folder/<true class>/<index>.png`` and return the data set's state.

    With ``only_poisoned``, the data set consists of these images; otherwise they replace clean ones
    in the whole data set.
    """
    indices, labels, truths = (
        x.tolist() for x in (poisoned.indices, poisoned.labels, poisoned.truth)
    )
    entries: dict[int, DatasetState] = {}
    for index, label, truth, image in zip(indices, labels, truths, poisoned.images, strict=True):
        path = home / folder / str(truth) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
        entries[index] = {"path": f"./{folder}/{truth}/{index}.png", "other_info": [label, truth]}
    rows = poisoned.indices if only_poisoned else np.arange(poisoned.total)
    return {
        "bd_data_container": {
            "save_folder_path": f"./{folder}",
            "data_dict": entries,
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": rows.astype(np.int64),
        "poison_indicator": poisoned.indicator(),
        "save_folder_path": f"./{folder}",
    }
