"""Plans a cell, one defense on one victim with one budget, or says why it is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.bridges.backdoorbench.names import why_unsupported
from harness.contract import DefenseInfo, Needs
from harness.plan.budget import BudgetSpec
from harness.plan.spec import Cell, MethodSpec, Victim
from harness.study.schema import StudyFile


def plan_cell(
    victim: Victim,
    defense: MethodSpec[DefenseInfo],
    budget: BudgetSpec,
    file: StudyFile,
    triggers: tuple[Victim, ...],
) -> Cell:
    """Return a cell, with the reason if it is skipped.

    Args:
        victim: the model to defend.
        defense: the defense with its hyperparameters.
        budget: its clean samples.
        file: the study file, for what it skips and keeps.
        triggers: for a clean model, the victims whose triggers it is evaluated with.
    """
    needs = defense.info.needs
    cell = Cell(victim, defense, needs, budget, triggers=triggers, keep=file.keep_models)
    cell = replace(cell, numerics=file.numerics or "fp32")
    reason = next((skip.reason for skip in file.skip if skip.matches(cell)), None)
    reason = reason or next(filter(None, (check(cell) for check in CHECKS[needs])), None)
    return cell if reason is None else replace(cell, skip=reason)


def _lacks_layers(cell: Cell) -> str | None:
    required = cell.defense.info.requires
    if required is None or required in cell.victim.model.info.layers:
        return None
    return f"works on {required}; {cell.victim.model.label} has none"


def _lacks_trigger_function(cell: Cell) -> str | None:
    if cell.victim.source.keeps_trigger:
        return None
    return f"needs the trigger; of {cell.victim.attack.label} there are only triggered test images"


def _lacks_images(cell: Cell) -> str | None:
    least = cell.defense.info.least_spc
    given = min(cell.budget.counts(cell.victim.data.train_counts))
    if given >= least:
        return None
    return f"needs at least {least} images per class; {cell.budget.label()} gives {given}"


def _is_unknown_to_script(cell: Cell) -> str | None:
    return why_unsupported(cell.victim)


CHECKS: dict[Needs, tuple[Callable[[Cell], str | None], ...]] = {
    "clean": (_lacks_layers, _lacks_images),
    "triggers": (_lacks_layers, _lacks_trigger_function, _lacks_images),
    "external": (_is_unknown_to_script,),
}
"""What must hold for a cell to run, by what its defense needs; each returns why it does not."""
