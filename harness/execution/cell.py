"""Runs cells: gives a defense its victim and clean budget, and evaluates the model it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from harness.bridges.script.inputs import ScriptInputs
from harness.contract import Budget, Context, Defended, Needs
from harness.data.device_dataset import DeviceDataset
from harness.data.tensors import to_numpy
from harness.evaluation.evaluate import (
    Evaluation,
    disagreement_auroc,
    evaluate_together,
    trigger_scores,
)
from harness.evaluation.metrics import defense_metrics
from harness.execution.defense import Cost, as_defended, measured
from harness.execution.own.process import OwnProcess
from harness.execution.own.serve import answer_worker
from harness.plan.budget import draw_budget
from harness.plan.keys import seed
from harness.plan.spec import Cell
from harness.store.record import CellArtifacts, CellResult, Companion, TriggerScores
from harness.store.store import Store
from harness.toolbox.numerics import WITHOUT_AUTOCAST, numerics
from harness.toolbox.predict import as_float, to_uint8
from harness.training.device import reseed
from harness.training.poisoning import goal_of

if TYPE_CHECKING:
    from harness.training.victim import LoadedVictim


class Access(NamedTuple):
    """What a defense is given, and so where it runs."""

    inputs: Callable[[ScriptInputs, Budget], tuple[Any, ...]]
    """Returns the arguments before hyperparameters and context."""
    triggered: bool = False
    """Whether the budget has triggered copies of the clean samples."""
    in_process: bool = True
    """Whether the defense runs in this process, so that its peak memory can be measured."""


def _model_and_budget(cell: ScriptInputs, budget: Budget) -> tuple[nn.Module, Budget]:
    return cell.victim.private_copy(), budget


def _whole_cell(cell: ScriptInputs, budget: Budget) -> tuple[ScriptInputs]:
    return (cell,)


ACCESS: dict[Needs, Access] = {
    "clean": Access(_model_and_budget),
    "triggers": Access(_model_and_budget, triggered=True),
    "external": Access(_whole_cell, in_process=False),
}
"""By what a defense declares that it needs."""


def run_cell(
    cell: Cell,
    victim: LoadedVictim,
    data: DeviceDataset,
    ctx: Context,
    store: Store,
    check: Callable[[], object] = lambda: None,
) -> CellResult:
    """Run a defense on a private copy of the victim, evaluate it, and return the record's result.

    ``check`` is called between the defense and the evaluation.

    Raises:
        BrokenModelError: the defended model gives no finite logits.
        TypeError: the defense returned something other than a model.
    """
    returned, cost = defend(cell, victim, data, ctx, store)
    check()
    with numerics(WITHOUT_AUTOCAST[cell.numerics], ctx.device):
        return _result(cell, as_defended(returned), victim, store, cost)


def run_cell_apart(
    cell: Cell, victim: LoadedVictim, data: DeviceDataset, ctx: Context, store: Store
) -> CellResult:
    """Do the same for a defense of the user's own, in a process of its own.

    Raises:
        ElsewhereError: the defense failed there.
    """
    with defended_apart(cell, victim, data, ctx) as (defended, cost):
        return _result(cell, as_defended(defended), victim, store, cost)


@contextmanager
def defended_apart(
    cell: Cell, victim: LoadedVictim, data: DeviceDataset, ctx: Context
) -> Iterator[tuple[Defended, Cost]]:
    """Run a defense of the user's own in a process of its own, which answers in the block."""
    budget = _given_budget(cell, budget_indices(cell, data), victim, data)
    with OwnProcess(answer_worker) as process:
        defended, cost = process.defend(cell, victim, budget, ctx)
        yield defended, cost._replace(n_clean=len(budget))


def defend(
    cell: Cell, victim: LoadedVictim, data: DeviceDataset, ctx: Context, store: Store
) -> tuple[object, Cost]:
    """Run a defense on a private copy of the victim; return what it returns, and its cost."""
    method, access = cell.defense.load(), ACCESS[cell.needs]
    indices = budget_indices(cell, data)
    budget = _given_budget(cell, indices, victim, data)
    inputs = ScriptInputs(cell, victim, data, indices, store)
    reseed(ctx.generator, seed(cell.defense_key, "defense"))
    ctx = replace(ctx, numerics=cell.numerics)
    with numerics(cell.numerics, ctx.device):
        returned, cost = measured(
            lambda: method.function(*access.inputs(inputs, budget), method.hyper, ctx),
            ctx.device,
            memory=access.in_process,
        )
    return returned, cost._replace(n_clean=len(budget))


def _result(
    cell: Cell, defended: Defended, victim: LoadedVictim, store: Store, cost: Cost
) -> CellResult:
    """Evaluate a defended model, save its artifacts, and return the record's result."""
    rates = trigger_scores(defended.model, victim.other_triggers)
    networks = [defended.model, *defended.companions.values()]
    evaluation, *others = evaluate_together(networks, victim.test)
    before, after = victim.before, evaluation.scores
    metrics = defense_metrics(before.scores, after)
    changed = evaluation.clean.argmax(1) != before.clean.argmax(1)
    return CellResult(
        acc=after.acc,
        asr=after.asr,
        ra=after.ra,
        der=metrics.der,
        rir=metrics.rir,
        arr=metrics.arr,
        rdr=metrics.rdr,
        acc_before=before.scores.acc,
        asr_before=before.scores.asr,
        ra_before=before.scores.ra,
        notes=defended.notes,
        changed=float(changed.float().mean()),
        triggers={name: TriggerScores(**scores) for name, scores in rates.items()},
        companions={
            name: score_companion(other, evaluation, victim)
            for name, other in zip(defended.companions, others, strict=True)
        },
        artifacts=_save(cell, defended, evaluation, store),
        seconds=cost.seconds,
        peak_mem_mb=cost.peak_mem_mb,
        peak_reserved_mb=cost.peak_reserved_mb,
        n_clean=cost.n_clean,
    )


def _save(cell: Cell, defended: Defended, after: Evaluation, store: Store) -> CellArtifacts:
    """Save predictions, the weights if the study keeps models, and the method's own artifacts.

    Companions are not saved: they are rebuilt from the method's artifacts.
    """
    return CellArtifacts(
        predictions=store.put(after.predictions(), compress=True),
        model=store.put(to_numpy(defended.model.state_dict())) if cell.keep else None,
        method=store.put(to_numpy(defended.artifacts)) if defended.artifacts else None,
    )


def score_companion(evaluation: Evaluation, after: Evaluation, victim: LoadedVictim) -> Companion:
    """Return a companion's scores, and how well it tells triggered test images from clean ones.

    ``auroc`` takes its disagreement with the defended model as a sign of the trigger,
    ``auroc_victim`` its agreement with the victim.
    """
    return Companion(
        acc=evaluation.scores.acc,
        asr=evaluation.scores.asr,
        ra=evaluation.scores.ra,
        auroc=disagreement_auroc(evaluation, after),
        auroc_victim=1 - disagreement_auroc(evaluation, victim.before),
    )


def _given_budget(
    cell: Cell, indices: torch.Tensor, victim: LoadedVictim, data: DeviceDataset
) -> Budget:
    """Return what the cell's defense is given, which a study may ask to be unclean."""
    triggered = ACCESS[cell.needs].triggered
    budget = clean_budget(indices, victim, data, triggered=triggered)
    if not cell.budget.unclean:
        return budget
    from harness.execution.unclean_budget import spoiled  # imports torchvision

    goal, salt = goal_of(cell.victim), seed("unclean", cell.budget_seed)
    samples = (budget.images, budget.labels)
    images, labels = spoiled(samples, cell.budget, goal, victim.trigger, salt)
    return replace(budget, images=images, labels=labels)


def clean_budget(
    indices: torch.Tensor, victim: LoadedVictim, data: DeviceDataset, *, triggered: bool = False
) -> Budget:
    """Return the clean samples at some indices of the training set.

    With ``triggered``, the budget also has the same images with the victim's trigger, for oracles;
    their labels are the true ones.
    """
    images = as_float(data.train_images[indices])
    copies = as_float(to_uint8(victim.trigger(images))) if triggered else None
    groups = None if data.train_groups is None else data.train_groups[indices]
    return Budget(
        images, data.train_labels[indices], data.info.classes, data.augment, copies, groups
    )


def budget_indices(cell: Cell, data: DeviceDataset) -> torch.Tensor:
    """Return the indices of the cell's clean samples in the training set, int64 (n,)."""
    labels = data.train_labels.cpu().numpy()
    return torch.from_numpy(draw_budget(labels, cell.budget, cell.budget_seed)).to(
        data.train_images.device
    )
