"""Writes a study's victims, and the models that its defenses made of them, as records of BackdoorBench."""

from __future__ import annotations

import re
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
from harness.plan.spec import NO_DEFENSE, Cell, PlanStatus, Victim
from harness.plan.study import Study
from harness.store.record import Status
from harness.store.record_files import LatestRecords
from harness.training.network import prepare_for_eval
from harness.training.session import WorkerSession
from harness.training.victim import LoadedVictim, VictimRefusedError, verify


def export_study(
    study: Study, asked: tuple[str, ...], home: Path, bench: WorkerSession
) -> Iterator[str]:
    """Write ``home/record/<victim>`` for every victim asked for; yield a line for each thing done or not.

    Args:
        study: its victims have been trained, and its defended models kept where ``keep_models``
            says so.
        asked: keys, or words of names; none means every victim.
        home: from where BackdoorBench is started: its repository, or any other folder.
        bench: the store, and the device that victims are verified on.

    Raises:
        UserError: no such victim; none can be exported; an artifact is missing or damaged.
    """
    latest = bench.store.latest()
    chosen = _chosen(study, asked)
    reasons = {victim.key: why_unsupported(victim) or _unready(victim, latest) for victim in chosen}
    fit = [victim for victim in chosen if reasons[victim.key] is None]
    refused = [
        f"not exported: {x.name}: {reasons[x.key]}" for x in chosen if reasons[x.key] is not None
    ]
    if not fit or (asked and refused):
        raise UserError("\n".join(refused))
    yield from refused
    for victim in fit:
        yield from _export(study, victim, home, bench, latest)
    yield from dict.fromkeys(f"clean images: {_clean_images(victim, home)}" for victim in fit)


def _chosen(study: Study, asked: tuple[str, ...]) -> list[Victim]:
    victims = study.victims()
    for words in asked:
        if not any(_is_asked(victim, words) for victim in victims.values()):
            names = "".join(f"\n  {key}  {victim.name}" for key, victim in victims.items())
            raise UserError(f"no victim of {study.name} is called {words!r}; there are:{names}")
    return [x for x in victims.values() if not asked or any(_is_asked(x, words) for words in asked)]


def _is_asked(victim: Victim, words: str) -> bool:
    return victim.key.startswith(words) or matches_words(victim.name, words.lower().split())


def _unready(victim: Victim, latest: LatestRecords) -> str | None:
    status = latest.status(victim.key)
    return (
        None
        if status is Status.OK
        else "it has yet to be trained"
        if status is None
        else f"its {status}"
    )


def _export(
    study: Study, victim: Victim, home: Path, bench: WorkerSession, latest: LatestRecords
) -> Iterator[str]:
    record = latest.victim(victim.key)
    assert record is not None
    attacked = bench.load(victim, record)
    data, ctx = bench.data(victim), Context(bench.device, torch.Generator())
    training = poisoned_training(victim, data, ctx, bench.store, latest)
    folder = write_record(RecordInputs(victim, attacked, training), home, record_name(victim))
    yield f"{folder}: {victim.name}"
    if training is None:
        yield f"{folder}: without bd_train: there are no fixed poisoned training images"
    for cell in study.cells:
        if cell.victim.key == victim.key and cell.skip is None and cell.defense.name != NO_DEFENSE:
            yield _export_defended(cell, attacked, folder, bench, latest)


def _export_defended(
    cell: Cell, attacked: LoadedVictim, parent: Path, bench: WorkerSession, latest: LatestRecords
) -> str:
    """Write a kept model that still gives the predictions of its record, and say what was done."""
    record = latest.cell(cell.key)
    if record is None or record.status.failed:
        status = PlanStatus.MISSING if record is None else record.status
        return f"not exported: {cell.name}: its record is {status}"
    artifacts = record.ok_result.artifacts
    if artifacts.model is None:
        return f"not exported: {cell.name}: its model was not kept; set keep_models: true, run --mode force"
    kept = to_tensors(bench.store.get(artifacts.model))
    try:
        weights = to_backdoorbench(kept, cell.victim)
        _verify(cell, weights, attacked, bench, artifacts.predictions)
    except (UserError, VictimRefusedError) as error:
        return f"not exported: {cell.name}: its weights alone are not its model: {error}"
    folder = parent / "defense" / _slug(f"{cell.defense.label}_{cell.budget.label()}")
    folder.mkdir(parents=True, exist_ok=True)
    numpy1_pickle.save_for_numpy1(model_entries(weights, cell.victim), folder / "defense_result.pt")
    return f"{folder}: {cell.name}"


def _verify(
    cell: Cell,
    weights: dict[str, torch.Tensor],
    attacked: LoadedVictim,
    bench: WorkerSession,
    predictions: str,
) -> None:
    """Hold what is to be written against the predictions of the model that was evaluated."""
    net = prepare_for_eval(from_backdoorbench(weights, cell.victim, "the kept model"), bench.device)
    again = replace(attacked, model=net, before=evaluate(net, attacked.test))
    verify(again, bench.store.get(predictions))


def record_name(victim: Victim) -> str:
    """Return the name of a victim's record: readable, and unique by its key."""
    words = (victim.attack.label, f"{victim.rate:g}", victim.model.name, data_name(victim))
    return _slug("_".join((*words, f"seed{victim.seed}", victim.key[:8])))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")


def _clean_images(victim: Victim, home: Path) -> str:
    """Return whether BackdoorBench will find the victim's own clean images."""
    folder = home / "data" / data_name(victim)
    if not folder.is_dir():
        return f"{folder} is not there yet; BackdoorBench will look for {victim.data.name} there"
    try:
        found = prepare(victim.data.name, DataOptions(path=str(folder)), None, default_cache())
    except UserError as error:
        return str(error)
    if found.digest == victim.data.digest:
        return f"{folder} holds those of the study"
    return f"{folder} holds others than the study, or another order: bd_train replaces the wrong ones there"
