"""Exports a study's victims and defended models as BackdoorBench records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from harness.bridges.backdoorbench import numpy1_pickle
from harness.bridges.backdoorbench.names import data_name, why_unsupported
from harness.bridges.backdoorbench.poisoned_sets import poisoned_training
from harness.bridges.backdoorbench.state_dicts import from_backdoorbench, to_backdoorbench
from harness.bridges.backdoorbench.write_record import RecordInputs, model_entries, write_record
from harness.contract import Context
from harness.data.cache import default_cache, prepare
from harness.data.options import DataOptions
from harness.data.tensors import to_tensors
from harness.errors import UserError
from harness.evaluation.evaluate import evaluate
from harness.plan.find import matches_words
from harness.plan.keys import slug
from harness.plan.names import (
    NO_DEFENSE,
    PlanStatus,
)
from harness.plan.spec import (
    Cell,
    Victim,
)
from harness.plan.study import Study
from harness.store.record_files import LatestRecords
from harness.training.network import prepare_for_eval
from harness.training.session import WorkerSession
from harness.training.victim import LoadedVictim, VictimRefusedError, verify


def export_study(
    study: Study, requested: tuple[str, ...], home: Path, session: WorkerSession
) -> Iterator[str]:
    """Write ``home/record/<victim>`` for every requested victim; yield a line per outcome.

    Args:
        study: its victims have been trained; its defended models were saved by ``keep_models``.
        requested: keys, or words of names; none means every victim.
        home: the folder that BackdoorBench is started from: its repository, or any other.
        session: the store, and the device on which victims are verified.

    Raises:
        UserError: no such victim; none can be exported; an artifact is missing or damaged.
    """
    latest = session.store.latest()
    victims = _requested(study, requested)
    reasons = {x.key: why_unsupported(x) or _why_not_ready(x, latest) for x in victims}
    ready = [victim for victim in victims if reasons[victim.key] is None]
    refused = [
        f"not exported: {x.name}: {reasons[x.key]}" for x in victims if reasons[x.key] is not None
    ]
    if not ready or (requested and refused):
        raise UserError("\n".join(refused))
    yield from refused
    for victim in ready:
        yield from _export(study, victim, home, session, latest)
    yield from dict.fromkeys(f"clean images: {_clean_images(victim, home)}" for victim in ready)


def _requested(study: Study, requested: tuple[str, ...]) -> list[Victim]:
    victims = study.victims()
    for words in requested:
        if not any(_matches(victim, words) for victim in victims.values()):
            names = "".join(f"\n  {key}  {victim.name}" for key, victim in victims.items())
            raise UserError(f"no victim of {study.name} matches {words!r}; there are:{names}")
    return [
        victim
        for victim in victims.values()
        if not requested or any(_matches(victim, words) for words in requested)
    ]


def _matches(victim: Victim, words: str) -> bool:
    return victim.key.startswith(words) or matches_words(victim.name, words.lower().split())


def _why_not_ready(victim: Victim, latest: LatestRecords) -> str | None:
    status = latest.status(victim.key)
    if status is None:
        return "not trained yet"
    return f"training ended with {status}" if status.failed else None


def _export(
    study: Study, victim: Victim, home: Path, session: WorkerSession, latest: LatestRecords
) -> Iterator[str]:
    record = latest.victim(victim.key)
    assert record is not None
    loaded = session.load(victim, record)
    data, ctx = session.data(victim), Context(session.device, torch.Generator())
    training = poisoned_training(victim, data, ctx, session.store, latest)
    folder = write_record(RecordInputs(victim, loaded, training), home, record_name(victim))
    yield f"{folder}: {victim.name}"
    if training is None:
        lacks = "the record has none" if victim.source.imported else "each batch has other ones"
        yield f"{folder}: without bd_train, the poisoned training images: {lacks}"
    for cell in study.cells:
        if cell.victim.key == victim.key and cell.skip is None and cell.defense.name != NO_DEFENSE:
            yield _export_defended(cell, loaded, folder, session, latest)


def _export_defended(
    cell: Cell, loaded: LoadedVictim, parent: Path, session: WorkerSession, latest: LatestRecords
) -> str:
    """Write a defended model if its predictions are those of its record; return the outcome."""
    record = latest.cell(cell.key)
    if record is None or record.status.failed:
        status = PlanStatus.MISSING if record is None else record.status
        return f"not exported: {cell.name}: its record is {status}"
    artifacts = record.ok_result.artifacts
    if artifacts.model is None:
        return (
            f"not exported: {cell.name}: its model was not saved; "
            "set keep_models: true, run --mode force"
        )
    saved = to_tensors(session.store.get(artifacts.model))
    try:
        weights = to_backdoorbench(saved, cell.victim)
        _verify(cell, weights, loaded, session, artifacts.predictions)
    except (UserError, VictimRefusedError) as error:
        return f"not exported: {cell.name}: its weights alone are not its model: {error}"
    folder = parent / "defense" / slug(f"{cell.defense.label}_{cell.budget.label()}")
    folder.mkdir(parents=True, exist_ok=True)
    numpy1_pickle.save_for_numpy1(model_entries(weights, cell.victim), folder / "defense_result.pt")
    return f"{folder}: {cell.name}"


def _verify(
    cell: Cell,
    weights: dict[str, torch.Tensor],
    loaded: LoadedVictim,
    session: WorkerSession,
    predictions: str,
) -> None:
    """Check that weights give the predictions of the model that was evaluated."""
    network = from_backdoorbench(weights, cell.victim, "the defended model")
    model = prepare_for_eval(network, session.device)
    defended = replace(loaded, model=model, before=evaluate(model, loaded.test))
    verify(defended, session.store.get(predictions))


def record_name(victim: Victim) -> str:
    """Return the name of a victim's record: readable, and unique by its key."""
    words = (victim.attack.label, f"{victim.rate:g}", victim.model.name, data_name(victim))
    return slug("_".join((*words, f"seed{victim.seed}", victim.key[:8])))


def _clean_images(victim: Victim, home: Path) -> str:
    """Return whether BackdoorBench will find the victim's clean images."""
    folder = home / "data" / data_name(victim)
    if not folder.is_dir():
        return f"{folder} does not exist yet; BackdoorBench will look for {victim.data.name} there"
    try:
        info = prepare(victim.data.name, DataOptions(path=str(folder)), None, default_cache())
    except UserError as error:
        return str(error)
    if info.digest == victim.data.digest:
        return f"{folder} has the images of the study"
    return (
        f"{folder} has other images than the study, or another order: "
        "bd_train replaces the wrong ones there"
    )
