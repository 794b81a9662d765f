"""A trial of a user's own method: seconds on a small victim with a backdoor, before any study.

What a run would do with the method is done here as a run does it, on scikit-learn's digits.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from harness.contract import RECIPES, Context, OutOfTimeError
from harness.data.cache import default_cache, prepare
from harness.data.device_dataset import load_to_device
from harness.data.options import DataOptions
from harness.evaluation.evaluate import evaluate
from harness.execution.alarm import alarm
from harness.execution.cell import ACCESS, budget_indices, clean_budget
from harness.execution.failures import OverdueAlarm
from harness.execution.run_task import run_task
from harness.execution.task import Task
from harness.plan.budget import BudgetSpec, draw_budget
from harness.plan.entries import resolve_method
from harness.plan.keys import seed
from harness.plan.spec import Cell, Victim
from harness.store.record import CellRecord, VictimRecord
from harness.store.store import Store
from harness.toolbox.predict import as_float
from harness.training.device import reseed, set_up_torch
from harness.training.network import build, prepare_for_eval
from harness.training.session import WorkerSession

if TYPE_CHECKING:
    from harness.contract import Budget, DefenseInfo
    from harness.plan.spec import MethodSpec
    from harness.training.victim import LoadedVictim

LIMIT = 120.0
"""Seconds that one run of a method may take on the toy victim."""
GLANCE = 20.0
"""Seconds after which a defense on a network of a study is ended: by then it has begun."""
EPOCHS = 8
"""How long the toy victim is trained: until it passes the gate."""
CPU = torch.device("cpu")
TOY = "a small digits victim"


class Finding(NamedTuple):
    """One thing that was tried."""

    what: str
    fault: str | None = None
    """What is wrong; None if nothing is."""
    detail: str = ""
    """Numbers of the trial, or the traceback of what is wrong."""


class _TrialError(Exception):
    """A method failed; the message is the fault, ``detail`` its traceback."""

    def __init__(self, fault: str, detail: str = "") -> None:
        super().__init__(fault)
        self.detail = detail


@contextmanager
def _session() -> Iterator[WorkerSession]:
    set_up_torch(1)
    with tempfile.TemporaryDirectory(prefix="defuse-trial-") as folder:
        yield WorkerSession(Store(Path(folder)), CPU)


def try_method(method: MethodSpec[Any]) -> list[Finding]:
    """Try an own attack, defense or architecture; the last finding is the first fault, if any."""
    trials = {"attack": _attack, "defense": _defense, "model": _model}
    findings: list[Finding] = []
    with _session() as session:
        try:
            for finding in trials[method.kind](method, session):
                findings.append(finding)
        except _TrialError as error:
            findings.append(Finding(f"a run on {TOY}", str(error), error.detail))
    return findings


def try_on_networks(defense: MethodSpec[DefenseInfo], victims: list[Victim]) -> Iterator[Finding]:
    """Begin a defense on an untrained network of each architecture and data set of a study."""
    seen = set()
    for victim in victims:
        pair = (victim.model.identity["name"], victim.model.digest, victim.data)
        required = defense.info.requires
        if pair in seen or (required and required not in victim.model.info.layers):
            continue
        seen.add(pair)
        what = f"begins on {victim.model.label} with {victim.data.name}"
        budget = _budget(victim, max(2, defense.info.least_spc))
        network = prepare_for_eval(build(victim.model, victim.data), CPU)
        try:
            _call(defense, network, budget, seed("trial"), GLANCE)
        except OutOfTimeError:
            yield Finding(what, detail=f"ended after {GLANCE:g} s")
        except _TrialError as error:
            yield Finding(what, str(error), error.detail)
        else:
            yield Finding(what)


def _budget(victim: Victim, spc: int) -> Budget:
    from harness.contract import Budget

    data = load_to_device(victim.data, CPU)
    labels = data.train_labels.numpy()
    indices = torch.from_numpy(draw_budget(labels, BudgetSpec(spc=spc), seed("trial")))
    images = as_float(data.train_images[indices])
    return Budget(images, data.train_labels[indices], data.info.classes, data.augment, images)


def _victim(**changes: Any) -> Victim:
    """Return a victim on the digits that trains in seconds and passes the gate."""
    victim = Victim(
        data=prepare("digits", DataOptions(), None, default_cache()),
        model=resolve_method("model", {"preactresnet18": {"width": 4}}, Path()),
        recipe=replace(RECIPES["fast"], epochs=EPOCHS),
        recipe_name="fast",
        attack=resolve_method("attack", {"badnets": {"size": 2}}, Path()),
        rate=0.1,
        target=0,
        seed=0,
    )
    return replace(victim, **changes)


def _attack(method: MethodSpec[Any], session: WorkerSession) -> Iterator[Finding]:
    clean = _victim(attack=resolve_method("attack", "none", Path()), rate=0.0)
    victim = _victim(attack=method, clean=clean if method.info.clean_model else None)
    others = {clean.key: _train(clean, session)} if method.info.clean_model else {}
    yield from _twice(victim, session, others)


def _model(method: MethodSpec[Any], session: WorkerSession) -> Iterator[Finding]:
    yield from _twice(_victim(model=method, recipe=replace(RECIPES["fast"], epochs=2)), session)


def _twice(
    victim: Victim, session: WorkerSession, others: dict[str, VictimRecord] | None = None
) -> Iterator[Finding]:
    """Train a victim twice; both times it must become the same."""
    first = _train(victim, session, others).ok_result
    yield Finding(
        f"training of {TOY}", detail=f"ACC {_percent(first.acc)}, ASR {_percent(first.asr)}"
    )
    second = _train(victim, session, others).ok_result
    yield Finding("the same weights twice", _unless(first.artifacts == second.artifacts))


def _train(
    victim: Victim, session: WorkerSession, others: dict[str, VictimRecord] | None = None
) -> VictimRecord:
    record = run_task(Task(victim, timeout=LIMIT, other_victims=others or {}), session)
    assert isinstance(record, VictimRecord)
    if record.status.failed:
        raise _TrialError(f"{record.status}: {record.error}", record.traceback)
    return record


def _defense(method: MethodSpec[DefenseInfo], session: WorkerSession) -> Iterator[Finding]:
    victim, info = _victim(), method.info
    if info.needs == "external" or info.requires not in (None, *victim.model.info.layers):
        yield Finding(f"nothing was run: {TOY} has no {info.requires or 'toolbox around it'}")
        return
    record = _train(victim, session)
    cell = Cell(victim, method, info.needs, BudgetSpec(spc=max(2, info.least_spc)))
    data, loaded = session.data(victim), session.victim(victim, record)
    budget = clean_budget(
        budget_indices(cell, data), loaded, data, triggered=ACCESS[cell.needs].triggered
    )
    before = budget.images.clone(), budget.labels.clone()
    start = time.perf_counter()
    try:
        network = _call(
            method, loaded.private_copy(), budget, seed(cell.defense_key, "defense"), LIMIT
        )
    except OutOfTimeError as error:
        raise _TrialError(f"no end after {LIMIT:g} s") from error
    seconds = time.perf_counter() - start
    unchanged = torch.equal(before[0], budget.images) and torch.equal(before[1], budget.labels)
    again = run_task(Task(victim, cell, victim_record=record, timeout=LIMIT), session)
    assert isinstance(again, CellRecord)
    if again.status.failed:
        raise _TrialError(f"{again.status}: {again.error}", again.traceback)
    result = again.ok_result
    yield Finding(
        f"a run on {TOY}",
        detail=f"{seconds:.1f} s; ACC {_percent(result.acc_before)} -> {_percent(result.acc)}, "
        f"ASR {_percent(result.asr_before)} -> {_percent(result.asr)}",
    )
    yield Finding(
        "leaves its budget alone",
        None if unchanged else "budget.images or budget.labels was written to; clone them first",
    )
    kept = session.store.get(result.artifacts.predictions)
    same = _same_predictions(network, loaded, kept)
    yield Finding("the same predictions twice", _unless(same))


def _unless(same: bool) -> str | None:
    return (
        None
        if same
        else "two runs of the same seeds differ; random numbers come from ctx.generator"
    )


def _same_predictions(network: nn.Module, loaded: LoadedVictim, kept: dict[str, Any]) -> bool:
    predictions = evaluate(network, loaded.test).predictions()
    return all((predictions[name] == kept[name]).all() for name in predictions)


def _call(
    method: MethodSpec[DefenseInfo], network: nn.Module, budget: Budget, number: int, limit: float
) -> nn.Module:
    """Call a defense in this process and return its network.

    Raises:
        OutOfTimeError: it takes longer than ``limit`` seconds.
        _TrialError: it raised an exception, or returned something else.
    """
    function, hyper, _ = method.load()
    ctx = Context(CPU, torch.Generator(), time.monotonic() + limit)
    reseed(ctx.generator, number)
    try:
        with alarm(limit):
            returned = function(network, budget, hyper, ctx)
    except (OutOfTimeError, OverdueAlarm) as error:
        raise OutOfTimeError(str(error)) from error
    except (Exception, SystemExit) as error:
        text = f"{type(error).__name__}: {error}"
        raise _TrialError(text, "".join(traceback.format_exception(error))) from error
    defended: object = getattr(returned, "model", returned)
    if not isinstance(defended, nn.Module):
        kind = type(returned).__name__
        raise _TrialError(f"a defense returns an nn.Module or a Defended, not {kind}")
    return defended


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
