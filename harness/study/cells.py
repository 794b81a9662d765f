"""Plans a cell, one defense on one victim with one budget, or says why it is skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

from harness.bridges.backdoorbench.names import why_unsupported
from harness.contract import DefenseInfo, Needs
from harness.plan.budget import BudgetSpec
from harness.plan.spec import Cell, MethodSpec, Victim
from harness.study.schema import Skip, StudyFile


def plan_cells(
    file: StudyFile,
    victims: Sequence[Victim],
    budgets: Sequence[BudgetSpec],
    defenses: Sequence[MethodSpec[DefenseInfo]],
    triggers: Mapping[str, tuple[Victim, ...]],
) -> list[Cell]:
    """Return every defense on every victim with every budget and draw, as they are run.

    ``triggers``: by the key of a clean model, the victims whose triggers it is evaluated with.
    """
    planned = partial(
        Cell, keep=file.keep_models or bool(file.probes), numerics=file.numerics or "fp32"
    )
    return [
        _with_skip(
            planned(
                victim,
                defense,
                defense.info.needs,
                budget,
                triggers=triggers.get(victim.key, ()),
                draw=draw,
            ),
            file.skip,
        )
        for victim, budget, draw, defense in product(victims, budgets, file.draws, defenses)
    ]


def _with_skip(cell: Cell, skips: Sequence[Skip]) -> Cell:
    """Return a cell with the reason if it is skipped: the study's, or what its defense lacks."""
    reason = next((skip.reason for skip in skips if skip.matches(cell)), None)
    reason = reason or next(filter(None, (check(cell) for check in CHECKS[cell.needs])), None)
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


def _lacks_trigger_for_budget(cell: Cell) -> str | None:
    if not cell.budget.triggered:
        return None
    if cell.victim.is_clean:
        return "there is no trigger that a budget could have"
    return _lacks_trigger_function(cell)


def _cannot_be_unclean(cell: Cell) -> str | None:
    return (
        f"scripts read clean samples; {cell.budget.label()} is not" if cell.budget.unclean else None
    )


def _is_unknown_to_script(cell: Cell) -> str | None:
    return why_unsupported(cell.victim)


CHECKS: dict[Needs, tuple[Callable[[Cell], str | None], ...]] = {
    "clean": (_lacks_layers, _lacks_images, _lacks_trigger_for_budget),
    "triggers": (_lacks_layers, _lacks_trigger_function, _lacks_images),
    "external": (_is_unknown_to_script, _cannot_be_unclean),
}
"""What must hold for a cell to run, by what its defense needs; each returns why it does not."""
