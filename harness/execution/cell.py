"""One cell: the place that joins victim, clean budget, defense and evaluation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from harness.bridges.script.inputs import ScriptInputs
from harness.contract import Budget, Context, Defended
from harness.data.device_dataset import DeviceDataset
from harness.data.tensors import to_numpy
from harness.evaluation.evaluate import Evaluation, disagreement_auroc, evaluate, trigger_scores
from harness.evaluation.metrics import defense_metrics
from harness.plan.budget import draw
from harness.plan.entries import hyper_of
from harness.plan.keys import seed
from harness.plan.registry import load
from harness.plan.spec import Cell
from harness.store.store import Store
from harness.toolbox.fit import as_float
from harness.toolbox.predict import to_uint8
from harness.training.device import peak_memory_mb, reseed, reset_peak_memory
from harness.training.victim import LoadedVictim


def run_cells(
    cells: Sequence[Cell],
    victim: LoadedVictim,
    data: DeviceDataset,
    contexts: Sequence[Context],
    store: Store,
) -> list[dict[str, Any]]:
    """Repair a private copy of the victim for each cell, evaluate it, and return each record's result.

    Several cells are a cohort: they have the victim and the defense in common, are repaired at
    once, and each counts an equal share of the seconds.

    Raises:
        BrokenModelError: a returned model gives no finite logits.
        TypeError: the defense returned something else than a model.
    """
    cell, ctx = cells[0], contexts[0]
    method = load("defense", cell.defense.ref)
    hyper = hyper_of(cell.defense, method.hyper)
    places = [budget_indices(each, data) for each in cells]
    budgets = [clean_budget(chosen, cell.needs, victim, data) for chosen in places]
    for each, context in zip(cells, contexts, strict=True):
        reseed(context.generator, seed(each.repair_key, "defense"))
    reset_peak_memory(ctx.device)
    start = time.perf_counter()
    if len(cells) > 1:
        assert method.about.cohort is not None
        returned = method.about.cohort(victim.private_copy(), budgets, hyper, contexts)
    elif cell.needs == "external":
        handed = ScriptInputs(cell, victim, data, places[0], store)
        returned = [method.function(handed, hyper, ctx)]
    else:
        returned = [method.function(victim.private_copy(), budgets[0], hyper, ctx)]
    _wait_for(ctx.device)
    cost = {"seconds": (time.perf_counter() - start) / len(cells), "cohort": len(cells)}
    if cell.needs != "external":
        cost["peak_mem_mb"] = peak_memory_mb(ctx.device)
    return [
        {**_scored(each, _repaired(found), victim, store), **cost, "n_clean": len(budget)}
        for each, found, budget in zip(cells, returned, budgets, strict=True)
    ]


def _scored(cell: Cell, repaired: Defended, victim: LoadedVictim, store: Store) -> dict[str, Any]:
    """Evaluate a repaired model, save what is kept, and return what the record says of it."""
    after = evaluate(repaired.model, victim.test)
    return {
        **after.scores._asdict(),
        **defense_metrics(victim.before.scores, after.scores),
        **{f"{name}_before": x for name, x in victim.before.scores._asdict().items()},
        **({"notes": repaired.notes} if repaired.notes else {}),
        "changed": float((after.clean.argmax(1) != victim.before.clean.argmax(1)).float().mean()),
        "triggers": trigger_scores(repaired.model, victim.others),
        "companions": {
            name: score_companion(net, after, victim) for name, net in repaired.companions.items()
        },
        "artifacts": _saved(cell, repaired, after, store),
    }


def _saved(cell: Cell, repaired: Defended, after: Evaluation, store: Store) -> dict[str, str]:
    """Save predictions, the weights where they are asked for, and what the method kept.

    Companions are rebuilt from the latter.
    """
    saved = {"predictions": store.put(after.predictions(), compress=True)}
    if cell.keep:
        saved["model"] = store.put(to_numpy(repaired.model.state_dict()))
    if repaired.artifacts:
        saved["method"] = store.put(to_numpy(repaired.artifacts))
    return saved


def score_companion(net: nn.Module, after: Evaluation, victim: LoadedVictim) -> dict[str, float]:
    """Score a companion, and how well it tells triggered test images from clean ones.

    ``auroc`` takes its disagreement with the repaired network as a sign of the trigger,
    ``auroc_victim`` its agreement with the victim.
    """
    found = evaluate(net, victim.test)
    return {
        **found.scores._asdict(),
        "auroc": disagreement_auroc(found, after),
        "auroc_victim": 1 - disagreement_auroc(found, victim.before),
    }


def clean_budget(
    chosen: torch.Tensor, needs: str, victim: LoadedVictim, data: DeviceDataset
) -> Budget:
    """Return the clean samples at some places; an oracle also gets triggered copies, with true labels."""
    images = as_float(data.train_images[chosen])
    triggered = None
    if needs == "triggers":
        triggered = as_float(to_uint8(victim.trigger(images)))
    groups = None if data.train_groups is None else data.train_groups[chosen]
    return Budget(
        images, data.train_labels[chosen], data.info.classes, data.augment, triggered, groups
    )


def budget_indices(cell: Cell, data: DeviceDataset) -> torch.Tensor:
    """Return the places of the cell's clean samples in the training set, int64 (n,)."""
    labels = data.train_labels.cpu().numpy()
    return torch.from_numpy(draw(labels, cell.budget, cell.budget_seed)).to(
        data.train_images.device
    )


def _repaired(returned: object) -> Defended:
    if isinstance(returned, Defended):
        return returned
    if isinstance(returned, nn.Module):
        return Defended(returned)
    raise TypeError(f"a defense returns an nn.Module or a Defended, not {type(returned).__name__}")


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
