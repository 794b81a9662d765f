"""Poisoned images as BackdoorBench keeps them: PNG files, and the state of a data set that names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from harness.contract import Context, Poison
from harness.data.device_dataset import DeviceDataset
from harness.errors import UserError
from harness.plan.spec import Victim
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from harness.training.poisoning import attack_data
from harness.training.victim import LoadedVictim, load_victim

DatasetState = dict[str, Any]


class PoisonedImages(NamedTuple):
    """Some images of a data set, as the attacker changed them."""

    indices: NDArray[np.int64]
    """(n,): their places in the clean data set."""
    images: NDArray[np.uint8]
    """(n, 3, H, W)."""
    labels: NDArray[np.int64]
    """(n,): the attacker's; a cover keeps its own."""
    truth: NDArray[np.int64]
    """(n,)."""
    total: int
    """Images of the clean data set."""

    def indicator(self) -> NDArray[np.float64]:
        """Return 1 where the clean data set is changed, else 0: (total,)."""
        marked = np.zeros(self.total)
        marked[self.indices] = 1
        return marked


def poisoned_test(attacked: LoadedVictim) -> PoisonedImages:
    """Return the triggered test images, labelled as the attacker wants them."""
    test = attacked.test
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
    """Return the poisoned training images, made anew by the attack: the store keeps their places only.

    None for an attack that controls training, which poisons every batch anew, and for a foreign
    victim.

    Raises:
        UserError: the attack now poisons other images than the victim's record says.
    """
    record = latest.victim(victim.key)
    assert record is not None
    name = record.ok_result.artifacts.poison
    if name is None or victim.source.imported:
        return None
    clean = None
    if victim.clean is not None:
        clean_record = latest.victim(victim.clean.key)
        assert clean_record is not None
        clean = load_victim(victim.clean, clean_record, data, ctx.device, store).model
    poison = attack_data(victim, data, clean, replace(ctx, scalars=[]), store)
    known = store.get(name)
    if not isinstance(poison, Poison) or not _same(poison, [*known["indices"], *known["covers"]]):
        raise UserError(
            f"{victim.name}: the attack poisons other images than its record says; train it anew"
        )
    return PoisonedImages(
        indices=poison.indices.cpu().numpy(),
        images=poison.images.cpu().numpy(),
        labels=poison.labels.cpu().numpy(),
        truth=data.train_labels[poison.indices].cpu().numpy(),
        total=len(data.train_labels),
    )


def _same(poison: Poison, indices: list[int]) -> bool:
    return torch.equal(poison.indices.cpu(), torch.tensor(indices))


def save_poisoned(part: PoisonedImages, home: Path, folder: str, *, alone: bool) -> DatasetState:
    """Write PNG files to ``home/folder/<true class>/<place>.png`` and return the data set's state.

    ``alone``: the data set is made of these images only; otherwise they replace their clean ones.
    """
    rows = zip(part.indices.tolist(), part.labels.tolist(), part.truth.tolist(), strict=True)
    entries: dict[int, DatasetState] = {}
    for (index, label, truth), image in zip(rows, part.images, strict=True):
        path = home / folder / str(truth) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
        entries[index] = {"path": f"./{folder}/{truth}/{index}.png", "other_info": [label, truth]}
    places = part.indices if alone else np.arange(part.total)
    return {
        "bd_data_container": {
            "save_folder_path": f"./{folder}",
            "data_dict": entries,
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": places.astype(np.int64),
        "poison_indicator": part.indicator(),
        "save_folder_path": f"./{folder}",
    }
