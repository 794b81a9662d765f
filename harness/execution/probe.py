"""Runs probes: gets a defended model back, and hands it to a probe that plays the attacker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.contract import Attacker, Context, EvaluationImages, ProbeInfo, TrainingSet
from harness.data.tensors import to_tensors
from harness.errors import UserError, nearest
from harness.execution.cell import defend, defended_apart
from harness.execution.defense import as_defended
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell
from harness.store.record import CellRecord, ProbeResult, VictimRecord
from harness.store.store import Arrays
from harness.toolbox.numerics import WITHOUT_AUTOCAST, numerics
from harness.toolbox.predict import predict_logits, thinned
from harness.training.device import reseed
from harness.training.network import build, prepare_for_eval
from harness.training.poisoning import goal_of
from harness.training.victim import differing_predictions

if TYPE_CHECKING:
    from harness.training.session import WorkerSession
    from harness.training.victim import LoadedVictim

MOST_COMPARED = 1000
"""The most test images, clean and triggered each, on which a model is compared with its record."""


class NotRepeatableError(UserError):
    """A defense that was run again returned another model than its record describes."""


def run_probe(
    run: ProbeRun,
    cell: CellRecord | None,
    victims: dict[str, VictimRecord],
    session: WorkerSession,
    ctx: Context,
    check: Callable[[], object] = lambda: None,
) -> ProbeResult:
    """Run a probe on a copy of its model, and return the record's result.

    Args:
        run: what is probed, and how.
        cell: the record of the cell whose model it is; None for the control.
        victims: the records of the victim and of the clean model, by key.
        session: data set, victim and models of this worker.
        ctx: device, deadline and log.
        check: called after the probe.

    Raises:
        NotRepeatableError: the defended model was not kept, and the defense now gives another one.
        TypeError: the probe returned something other than numbers that it declares.
    """
    method = run.probe.load()
    arithmetic = "fp32" if run.cell is None else run.cell.numerics
    victim = session.victim(run.victim, victims[run.victim.key], arithmetic)
    model, repeated = (
        _model(run, cell, victim, victims, session, ctx)
        if method.info.defended
        else (victim.private_copy(), False)
    )
    clean = None
    if method.info.clean_model and run.clean is not None:
        clean = session.clean_model(run.clean, victims[run.clean.key])
    attacker = _attacker(run, victim, clean, method.info, session)
    if not method.info.defended:
        attacker = replace(attacker, kept=_kept_tensors(cell, session))
    del ctx.scalars[:]  # those of a defense that was repeated
    reseed(ctx.generator, run.random_seed)
    start = time.perf_counter()
    numbers = method.function(model, attacker, method.hyper, ctx)
    seconds = time.perf_counter() - start
    check()
    return ProbeResult(numbers=_checked(numbers, method.info), repeated=repeated, seconds=seconds)


def _model(
    run: ProbeRun,
    record: CellRecord | None,
    victim: LoadedVictim,
    victims: dict[str, VictimRecord],
    session: WorkerSession,
    ctx: Context,
) -> tuple[nn.Module, bool]:
    """Return a copy of the model to probe, and whether its defense was run again for it."""
    if run.cell is None or record is None:
        assert run.clean is not None
        return session.clean_model(run.clean, victims[run.clean.key]), False
    cell = run.cell
    return session.defended(cell.key, lambda: _defended(cell, record, victim, session, ctx))


def _defended(
    cell: Cell, record: CellRecord, victim: LoadedVictim, session: WorkerSession, ctx: Context
) -> tuple[nn.Module, bool]:
    """Return a cell's defended model, and whether its defense was run again for it."""
    artifacts = record.ok_result.artifacts
    saved = session.store.get(artifacts.predictions)
    kept = None if artifacts.model is None else _kept(cell, artifacts.model, session)
    with numerics(WITHOUT_AUTOCAST[cell.numerics], session.device):
        if kept is not None and not _differences(kept, victim, saved):
            return kept, False
    data = session.data(cell.victim)
    if cell.runs_own_file:
        with defended_apart(cell, victim, data, ctx) as (defended, _):
            weights = defended.model.state_dict()
        model = _plain(cell, weights, session)
        if model is None:
            raise NotRepeatableError("the network of an own defense has another architecture")
    else:
        returned, _ = defend(cell, victim, data, ctx, session.store)
        model = prepare_for_eval(as_defended(returned).model, session.device)
    with numerics(WITHOUT_AUTOCAST[cell.numerics], session.device):
        differing = _differences(model, victim, saved)
    if differing:
        raise NotRepeatableError(
            f"the defended model was not kept, and the defense, run again, predicts {differing} "
            "test images otherwise than its record says (another machine or library?); "
            "'keep_models: true' and a new run of the cell keep it"
        )
    return model, True


def _kept(cell: Cell, name: str, session: WorkerSession) -> nn.Module | None:
    """Return a kept model; None if its weights do not fit the plain architecture."""
    if not session.store.path_of(name).exists():
        return None
    return _plain(cell, to_tensors(session.store.get(name)), session)


def _plain(
    cell: Cell, weights: dict[str, torch.Tensor], session: WorkerSession
) -> nn.Module | None:
    """Return the victim's architecture with other weights; None if they do not fit it."""
    model = build(cell.victim.model, cell.victim.data)
    try:
        model.load_state_dict(weights)
    except RuntimeError:  # a network with gates or other parts of its own
        return None
    return prepare_for_eval(model, session.device)


def _differences(model: nn.Module, victim: LoadedVictim, saved: Arrays) -> int:
    """Return how many of some test images a model predicts otherwise than saved predictions."""
    differing = 0
    for split, images in (("clean", victim.test.clean), ("triggered", victim.test.triggered)):
        some = thinned(len(images), MOST_COMPARED)
        out = predict_logits(model, images[some])
        differing += differing_predictions(out, saved[split][some])
    return differing


def _attacker(
    run: ProbeRun,
    victim: LoadedVictim,
    clean: nn.Module | None,
    info: ProbeInfo,
    session: WorkerSession,
) -> Attacker:
    data, test, device = session.data(run.victim), victim.test, session.device
    truth = (torch.from_numpy(x).to(device) for x in test.truth)
    labels, triggered_labels, wanted = truth
    return Attacker(
        victim=victim.private_copy(),
        train=TrainingSet(data.train_images, data.train_labels, data.info.classes, clean),
        augment=data.augment,
        goal=goal_of(run.victim),
        trigger=victim.trigger if info.trigger else None,
        test=EvaluationImages(
            clean=test.clean,
            labels=labels,
            untriggered=test.clean[test.carries_trigger],
            triggered=test.triggered,
            truth=triggered_labels,
            wanted=wanted,
        ),
    )


def _kept_tensors(cell: CellRecord | None, session: WorkerSession) -> dict[str, torch.Tensor]:
    """Return what a cell's defense kept beside its model."""
    name = None if cell is None else cell.ok_result.artifacts.method
    kept = {} if name is None else to_tensors(session.store.get(name))
    return {name: x.to(session.device) for name, x in kept.items()}


def _checked(numbers: object, info: ProbeInfo) -> dict[str, float]:
    """Return what a probe returned, as floats.

    Raises:
        TypeError: it is no dict of finite numbers that the probe declares.
    """
    if not isinstance(numbers, dict):
        raise TypeError(f"a probe returns a dict of numbers, not {type(numbers).__name__}")
    for name, value in numbers.items():
        if name not in info.numbers:
            raise TypeError(f"undeclared number {name!r}{nearest(str(name), info.numbers)}")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise TypeError(f"{name} is a finite number, not {value!r}")
    return {name: float(value) for name, value in numbers.items()}
