"""The task of a foreign victim: its files are read, evaluated by our evaluation, and kept in the store."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from harness.bridges.backdoorbench.inspect_record import record_digest, split_poison_kinds
from harness.bridges.backdoorbench.read_record import (
    BackdoorBenchRecord,
    read_record,
    reported_scores,
)
from harness.bridges.backdoorbench.record_folder import RESULT
from harness.bridges.backdoorbench.state_dicts import from_backdoorbench, read_network
from harness.bridges.files.images import decode_images, indexed_images
from harness.contract import Context, Poison
from harness.data.device_dataset import DeviceDataset
from harness.errors import UserError
from harness.evaluation.evaluate import (
    EvaluationSet,
    evaluate,
    evaluation_set,
    evaluation_set_from_images,
)
from harness.plan.keys import file_digest
from harness.plan.spec import CheckpointFile, ImportedFiles, RecordFiles, Victim
from harness.store.record import CrossTest, ReportedScores, Source, VictimResult
from harness.store.store import Store
from harness.toolbox.predict import predict_logits
from harness.training.network import prepare_for_eval
from harness.training.poisoning import PoisonCounts, attack_data, goal_of
from harness.training.victim import (
    LoadedVictim,
    VictimOrigin,
    save_victim,
    trigger_of,
    victim_result,
)

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
    reported: ReportedScores | None = None
    cross: CrossTest | None = None


def import_victim(victim: Victim, data: DeviceDataset, ctx: Context, store: Store) -> VictimResult:
    """Read a foreign victim, evaluate and save it; return the record's result.

    Raises:
        UserError: its files have changed since they were planned with, or are not in order.
    """
    assert isinstance(victim.source, ImportedFiles)
    bring = {RecordFiles: _record, CheckpointFile: _checkpoint}[type(victim.source)]
    brought = bring(victim, victim.source, data, ctx, store)
    attacked = LoadedVictim(
        brought.model,
        trigger_of(victim, brought.state),
        brought.test,
        evaluate(brought.model, brought.test),
    )
    source = victim.source
    triggered = None if source.keeps_trigger else _saved(brought.test, store)
    artifacts = save_victim(attacked, brought.state, brought.poison, store, triggered)
    origin = VictimOrigin(
        source=Source(kind=source.kind, path=source.path, digest=source.digest),
        reported=brought.reported,
        cross=brought.cross,
    )
    return victim_result(attacked, _counts(brought.poison), origin, artifacts)


def _counts(poison: Tensors) -> PoisonCounts:
    if not poison:
        return PoisonCounts(None, None)
    unclear = len(poison["unclear"]) if "unclear" in poison else None
    return PoisonCounts(len(poison["indices"]), len(poison["covers"]), unclear)


def _saved(test: EvaluationSet, store: Store) -> str:
    indices = test.carries_trigger.nonzero()[:, 0]
    return store.put({"images": test.triggered.cpu().numpy(), "indices": indices.cpu().numpy()})


def _checkpoint(
    victim: Victim, source: ImportedFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    path = Path(source.path)
    _check(path, source, file_digest(path)[:24] if path.is_file() else None)
    attack = attack_data(victim, data, None, ctx, store)
    assert isinstance(attack, Poison)
    test = evaluation_set(data, goal_of(victim), trigger_of(victim, attack.state))
    return ImportedVictim(
        prepare_for_eval(read_network(path, victim, str(path)), ctx.device), test, attack.state, {}
    )


def _record(
    victim: Victim, source: ImportedFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    folder = Path(source.path)
    _check(folder, source, record_digest(folder) if (folder / RESULT).is_file() else None)
    record = read_record(folder)
    images = torch.from_numpy(decode_images(record.test.images, victim.data.shape)).to(ctx.device)
    indices = torch.from_numpy(record.test.indices).to(ctx.device)
    model = prepare_for_eval(
        from_backdoorbench(record.weights, victim, str(folder / RESULT)), ctx.device
    )
    scores, cross = (
        ReportedScores(**reported_scores(folder)),
        _cross(folder, model, victim, ctx.device),
    )
    test = evaluation_set_from_images(data, goal_of(victim), indices, images)
    return ImportedVictim(model, test, {}, _poison(record, victim, data), scores, cross)


def _check(path: Path, source: ImportedFiles, digest: str | None) -> None:
    if digest != source.digest:
        raise UserError(
            f"{path}: {'is gone' if digest is None else 'has changed'} since the study was read"
        )


def _poison(record: BackdoorBenchRecord, victim: Victim, data: DeviceDataset) -> Tensors:
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
    found = split_poison_kinds(train, truth, victim.target)
    named = {"indices": found.backdoors, "covers": found.covers, "unclear": found.unclear}
    return {name: torch.from_numpy(x) for name, x in named.items() if name != "unclear" or len(x)}


def _cross(
    folder: Path, model: nn.Module, victim: Victim, device: torch.device
) -> CrossTest | None:
    """Return the accuracy on a record's cross samples, where it has some: they should change nothing."""
    files, labels = indexed_images(folder / CROSS)
    if not files:
        return None
    images = torch.from_numpy(decode_images(files, victim.data.shape)).to(device)
    predicted = predict_logits(model, images).argmax(1).numpy()
    return CrossTest(acc=float(np.mean(predicted == labels)), images=len(files))
