"""Imports a victim: reads its files, evaluates it like any other, and saves it in the store."""

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
from harness.data.tensors import to_tensors
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


class ImportedVictim(NamedTuple):
    """A victim as read from its files."""

    model: nn.Module
    test: EvaluationSet
    state: dict[str, torch.Tensor]
    """State of the trigger function; empty without one."""
    poison: dict[str, torch.Tensor]
    """Indices of the changed training samples, int64 (n,) by kind; empty if unknown."""
    reported: ReportedScores | None = None
    cross: CrossTest | None = None


def import_victim(victim: Victim, data: DeviceDataset, ctx: Context, store: Store) -> VictimResult:
    """Import a victim and save it; return the record's result.

    Raises:
        UserError: its files are broken, or have changed since the study was read.
    """
    source = victim.source
    assert isinstance(source, ImportedFiles)
    read = {RecordFiles: _read_record, CheckpointFile: _read_checkpoint}[type(source)]
    imported = read(victim, source, data, ctx, store)
    loaded = LoadedVictim(
        imported.model,
        trigger_of(victim, imported.state),
        imported.test,
        evaluate(imported.model, imported.test),
    )
    triggered = None if source.keeps_trigger else _save_triggered(imported.test, store)
    artifacts = save_victim(loaded, imported.state, imported.poison, store, triggered)
    origin = VictimOrigin(
        source=Source(kind=source.kind, path=source.path, digest=source.digest),
        reported=imported.reported,
        cross=imported.cross,
    )
    return victim_result(loaded, _counts(imported.poison), origin, artifacts)


def _counts(poison: dict[str, torch.Tensor]) -> PoisonCounts:
    if not poison:
        return PoisonCounts(None, None)
    unclear = len(poison["unclear"]) if "unclear" in poison else None
    return PoisonCounts(len(poison["indices"]), len(poison["covers"]), unclear)


def _save_triggered(test: EvaluationSet, store: Store) -> str:
    indices = test.carries_trigger.nonzero()[:, 0]
    return store.put({"images": test.triggered.cpu().numpy(), "indices": indices.cpu().numpy()})


def _read_checkpoint(
    victim: Victim, source: ImportedFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    path = Path(source.path)
    _check_unchanged(path, source, file_digest(path)[:24] if path.is_file() else None)
    attack = attack_data(victim, data, None, ctx, store)
    assert isinstance(attack, Poison)
    test = evaluation_set(data, goal_of(victim), trigger_of(victim, attack.state))
    model = prepare_for_eval(read_network(path, victim, str(path)), ctx.device)
    return ImportedVictim(model, test, attack.state, {})


def _read_record(
    victim: Victim, source: ImportedFiles, data: DeviceDataset, ctx: Context, store: Store
) -> ImportedVictim:
    folder = Path(source.path)
    _check_unchanged(folder, source, record_digest(folder) if (folder / RESULT).is_file() else None)
    record = read_record(folder)
    images = torch.from_numpy(decode_images(record.test.images, victim.data.shape)).to(ctx.device)
    indices = torch.from_numpy(record.test.indices).to(ctx.device)
    network = from_backdoorbench(record.weights, victim, str(folder / RESULT))
    model = prepare_for_eval(network, ctx.device)
    return ImportedVictim(
        model=model,
        test=evaluation_set_from_images(data, goal_of(victim), indices, images),
        state={},
        poison=_poison(record, victim, data),
        reported=ReportedScores(**reported_scores(folder)),
        cross=_cross_test(folder, model, victim, ctx.device),
    )


def _check_unchanged(path: Path, source: ImportedFiles, digest: str | None) -> None:
    if digest != source.digest:
        raise UserError(
            f"{path}: {'is gone' if digest is None else 'has changed'} since the study was read"
        )


def _poison(
    record: BackdoorBenchRecord, victim: Victim, data: DeviceDataset
) -> dict[str, torch.Tensor]:
    """Return the indices of the training samples that the attack changed, by kind.

    Raises:
        UserError: an index is out of range.
    """
    train = record.train
    if train is None or len(train.indices) == 0:
        return {}
    total = len(data.train_labels)
    if train.indices[0] < 0 or train.indices[-1] >= total:
        raise UserError(
            f"{record.data}: an index out of range: {train.indices[0]} to {train.indices[-1]} "
            f"of {total} training images"
        )
    truth = data.train_labels.cpu().numpy()[train.indices]
    kinds = split_poison_kinds(train, truth, victim.target)
    unclear = {"unclear": kinds.unclear} if len(kinds.unclear) else {}
    return to_tensors({"indices": kinds.backdoors, "covers": kinds.covers, **unclear})


def _cross_test(
    folder: Path, model: nn.Module, victim: Victim, device: torch.device
) -> CrossTest | None:
    """Return the accuracy on a record's cross samples, if any; the victim should classify them."""
    files, labels = indexed_images(folder / CROSS)
    if not files:
        return None
    images = torch.from_numpy(decode_images(files, victim.data.shape)).to(device)
    predicted = predict_logits(model, images).argmax(1).numpy()
    return CrossTest(acc=float(np.mean(predicted == labels)), images=len(files))
