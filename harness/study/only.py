"""Cells of a study that a command line chooses: ``--only 'defense=ims,spc=2'``."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import yaml

from harness.errors import UserError, faults_of, nearest
from harness.plan.validation import validate
from harness.study.schema import Skip

if TYPE_CHECKING:
    from harness.plan.study import Study

FIELDS = ("key", *(field.name for field in fields(Skip) if field.name != "reason"))


def only(study: Study, choices: tuple[str, ...]) -> Study:
    """Return the study with the cells that one of the choices matches; all if there is none.

    Raises:
        UserError: a choice is no list of name=value, or matches no cell.
    """
    if not choices:
        return study
    chosen = {cell.key for choice in choices for cell in _matching(study, choice)}
    return replace(study, cells=[cell for cell in study.cells if cell.key in chosen])


def _matching(study: Study, choice: str) -> list[Any]:
    values = _parsed(choice)
    key = str(values.pop("key", ""))
    try:
        wanted = validate(Skip, {**values, "reason": choice})
    except UserError as error:
        shown = "; ".join(f"{'.'.join(map(str, at))}: {said}" for at, said in faults_of(error))
        raise UserError(f"--only {choice}: {shown}") from error
    cells = [cell for cell in study.cells if cell.key.startswith(key) and wanted.matches(cell)]
    if not cells:
        raise UserError(f"--only {choice}: no cell of {study.name} matches; --dry-run lists them")
    return cells


def _parsed(choice: str) -> dict[str, Any]:
    values = {}
    for part in re.split(r",(?=\s*\w+\s*=)", choice):
        name, equals, value = (x.strip() for x in part.partition("="))
        if not equals or name not in FIELDS:
            known = nearest(name, FIELDS)
            raise UserError(f"--only {choice}: name=value is needed, not {part.strip()!r}{known}")
        values[name] = value if name == "key" else yaml.safe_load(value)
    return values
