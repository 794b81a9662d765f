"""The task of a foreign victim: its files are read, evaluated by our evaluation, and kept in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from harness.bridges.backdoorbench.inspect_record import (
    parts,
    record_digest,
)
from harness.bridges.backdoorbench.read_record import BenchRecord, read_record, reported
from harness.bridges.backdoorbench.record_folder import RESULT
from harness.bridges.backdoorbench.state_dicts import incoming, read_network
from harness.bridges.files.images import numbered, pixels
from harness.contract import Context, Poison
from harness.data.device_dataset import DeviceDataset
from harness.errors import UserError
from harness.evaluation.evaluate import EvaluationSet, evaluate, evaluation_set, evaluation_set_from_images
from harness.plan.keys import file_digest
from harness.plan.spec import Victim, VictimFiles
from harness.store.store import Store
from harness.toolbox.predict import predict_logits
from harness.training.network import prepare_for_eval
from harness.training.poisoning import attack_data, goal_of
from harness.training.victim import LoadedVictim, save_victim, trigger_of

CROSS = "cross_test_dataset"
Tensors = dict[str, torch.Tensor]


class ImportedVictim(NamedTuple):
    """What the files of a foreign victim come to."""

    model: nn.Module
    test: EvaluationSet
    state: Tensors
    """Of the trigger function; empty where there is none."""
    poison: Tensors
    """Indices of training samples, by what they are; empty where that is unknown."""
    said: dict[str, Any]
    """What the record says besides."""


def import_victim(
    victim: Victim, data: DeviceDataset, ctx: Context, store: Store
) -> dict[str, Any]:
    """Read a foreign victim, evaluate and save it; return the record's result.

    Raises:
        UserError: its files have changed since they were planned with, or are not in order.
    """
    assert victim.source is not None
    bring = _record if victim.source.kind == "backdoorbench" else _checkpoint
    brought = bring(victim, victim.source, data, ctx, store)
    attacked = LoadedVictim(
        brought.model,
        trigger_of(victim, brought.state),
        brought.test,
        evaluate(brought.model, brought.test),
    )
    result = save_victim(attacked, brought.state, brought.poison, store)
    if not victim.keeps_trigger:
        result["artifacts"]["triggered"] = _saved(brought.test, store)
    counts = _counts(brought.poison) if brought.poison else {"poisoned": None, "covers": None}
    return {**counts, "drawn": None, "source": victim.source._asdict(), **brought.said, **result}


def _counts(poison: Tensors) -> dict[str, int]:
    counts = {name: len(indices) for name, indices in poison.items()}
    return {"poisoned": counts.pop("indices"), **counts}


def _saved(test: EvaluationSet, store: Store) -> str:
    indices = test.carries_trigger.nonzero()[:, 0]
    return store.put({"images": test.triggered.cpu().numpy(), "indices": indices.cpu().numpy()})


def _checkpoint(
    victim: Victim, source: VictimFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    path = Path(source.path)
    _check(path, source, file_digest(path)[:24] if path.is_file() else None)
    attack = attack_data(victim, data, None, ctx, store)
    assert isinstance(attack, Poison)
    test = evaluation_set(data, goal_of(victim), trigger_of(victim, attack.state))
    return ImportedVictim(
        prepare_for_eval(read_network(path, victim, str(path)), ctx.device), test, attack.state, {}, {}
    )


def _record(
    victim: Victim, source: VictimFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    folder = Path(source.path)
    _check(folder, source, record_digest(folder) if (folder / RESULT).is_file() else None)
    record = read_record(folder)
    images = torch.from_numpy(pixels(record.test.pictures, victim.data.shape)).to(ctx.device)
    indices = torch.from_numpy(record.test.indices).to(ctx.device)
    model = prepare_for_eval(incoming(record.weights, victim, str(folder / RESULT)), ctx.device)
    said = {"reported": reported(folder), **_cross(folder, model, victim, ctx.device)}
    test = evaluation_set_from_images(data, goal_of(victim), indices, images)
    return ImportedVictim(model, test, {}, _poison(record, victim, data), said)


def _check(path: Path, source: VictimFiles, digest: str | None) -> None:
    if digest != source.digest:
        raise UserError(
            f"{path}: {'is gone' if digest is None else 'has changed'} since the study was read"
        )


def _poison(record: BenchRecord, victim: Victim, data: DeviceDataset) -> Tensors:
    """Return the indices of the training samples that the attack changed.

    Raises:
        UserError: an index beyond the training set.
    """
    train = record.train
    if train is None or len(train.indices) == 0:
        return {}
    total = len(data.train_labels)
    if train.indices[0] < 0 or train.indices[-1] >= total:
        raise UserError(
            f"{record.data}: an index out of range: {train.indices[0]} to {train.indices[-1]} of {total} "
            "training images"
        )
    truth = data.train_labels.cpu().numpy()[train.indices]
    found = parts(train, truth, victim.target)
    named = {"indices": found.backdoors, "covers": found.covers, "unclear": found.unclear}
    return {name: torch.from_numpy(x) for name, x in named.items() if name != "unclear" or len(x)}


def _cross(folder: Path, model: nn.Module, victim: Victim, device: torch.device) -> dict[str, Any]:
    """Return the accuracy on a record's cross samples, where it has some: they should change nothing."""
    files, labels = numbered(folder / CROSS)
    if not files:
        return {}
    images = torch.from_numpy(pixels(files, victim.data.shape)).to(device)
    predicted = predict_logits(model, images).argmax(1).numpy()
    return {"cross": {"acc": float(np.mean(predicted == labels)), "images": len(files)}}
