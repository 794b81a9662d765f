"""What the entries of imported victims share: their context, and the inspection of weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.bridges.files.inspection_cache import cached_inspection
from harness.contract import AttackInfo, ModelInfo, Recipe
from harness.data.info import DataInfo
from harness.errors import UserError
from harness.plan.names import fault_of_label
from harness.plan.validation import at

if TYPE_CHECKING:
    from harness.plan.spec import MethodSpec

IMPORTED = "imported"
"""The recipe name of imported victims, whose recipe is unknown."""
UNKNOWN = Recipe()
"""The recipe of imported victims: a placeholder, because they are not trained."""
TRIGGERS = Path(__file__).parent / "triggers"


class ImportContext(NamedTuple):
    """What entries are resolved with."""

    base: Path
    """The folder that relative paths start from."""
    cache: Path
    """The folder of cached inspections."""
    dataset: Callable[[Any], DataInfo]
    """Resolves the entry of a data set."""
    study_data: list[DataInfo]
    """The study's data sets; a record's data set is looked up here first."""


def labelled(
    attack: MethodSpec[AttackInfo], label: str, name: str | None
) -> MethodSpec[AttackInfo]:
    """Return the attack of an imported victim under the name that the entry gives, else ``label``.

    Raises:
        UserError: it can't be a name.
    """
    with at("name"):
        if name is not None and (fault := fault_of_label(name)):
            raise UserError(fault)
    label = name or label
    return replace(attack, label=label, display=label)


def imported_weights_digest(
    path: Path, model: MethodSpec[ModelInfo], data: DataInfo, cache: Path
) -> str:
    """Return the digest of a file, after checking that its weights fit the architecture.

    If its names differ from the architecture's, a line on stderr says how they were matched.

    Raises:
        UserError: the file can't be loaded safely, or its weights do not fit.
    """
    from harness.bridges.files.inspect_weights import inspect_weights

    arguments = [model.identity, data.classes, list(data.shape)]
    inspection = cached_inspection(
        [path], arguments, cache, lambda: inspect_weights(path, model, data)
    )
    if note := inspection.get("note"):
        sys.stderr.write(f"{note}\n")
    return str(inspection["digest"])
