"""A cell of the plan: one defense on one victim at one budget, and why it is not run where it is not."""

from __future__ import annotations

from dataclasses import replace

from harness.bridges.backdoorbench.names import unfit
from harness.contract import MethodInfo
from harness.plan.budget import BudgetSpec
from harness.plan.registry import Method, describe
from harness.plan.spec import Cell, MethodSpec, Victim
from harness.study.schema import StudyFile


def planned_cell(
    victim: Victim,
    defense: tuple[MethodSpec, Method],
    budget: BudgetSpec,
    file: StudyFile,
    triggers: tuple[Victim, ...],
) -> Cell:
    """Return a cell, with the reason where it is to be skipped.

    Args:
        victim: the model to repair.
        defense: the choice, and the method that it leads to.
        budget: its clean samples.
        file: the study's, for what it skips and keeps.
        triggers: of a clean model, the victims whose triggers it is scored with.
    """
    choice, method = defense
    cell = Cell(
        victim, choice, method.about.needs, budget, triggers=triggers, keep=file.keep_models
    )
    reason = next((skip.reason for skip in file.skip if skip.agrees(cell)), None)
    reason = reason or _unfit(cell, method.about)
    return cell if reason is None else replace(cell, skip=reason)


def _unfit(cell: Cell, about: MethodInfo) -> str | None:
    """Return why a defense cannot run on this model or budget, by what both declare."""
    if about.needs == "external":
        return unfit(cell.victim)
    if about.requires is not None and about.requires not in _layers(cell.victim):
        return f"works on {about.requires}; {cell.victim.model.label} has none"
    if about.needs == "triggers" and not cell.victim.keeps_trigger:
        return (
            f"needs the trigger; of {cell.victim.attack.label} there are only triggered test images"
        )
    given = min(cell.budget.counts(cell.victim.data.train_counts))
    if given < about.least_spc:
        return f"needs at least {about.least_spc} images per class; {cell.budget.label()} gives {given}"
    return None


def _layers(victim: Victim) -> tuple[str, ...]:
    return describe("model", victim.model.ref).about.layers
