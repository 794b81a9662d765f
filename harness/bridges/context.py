"""What the entries of foreign victims share: where they are resolved, and the first look at their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.bridges.files.inspection_cache import cached_inspection
from harness.contract import ModelInfo, Recipe
from harness.data.info import DataInfo
from harness.plan.spec import MethodSpec
from harness.plan.validation import at

T = TypeVar("T")
IMPORTED = "imported"
"""The name of the recipe that a foreign victim was trained by, whatever it was."""
UNKNOWN = Recipe()
"""Stands where a recipe is needed; a foreign victim is not trained."""
TRIGGERS = Path(__file__).parent / "triggers"


class ImportContext(NamedTuple):
    """What an entry is resolved with."""

    base: Path
    """Where relative paths start."""
    cache: Path
    """Where the first look at files is kept."""
    dataset: Callable[[Any], DataInfo]
    """Resolves an entry of a data set."""
    known: list[DataInfo]
    """The study's own data sets; a record's data set is looked for here first."""


def at_key(key: str, resolve: Callable[[], T]) -> T:
    """Resolve one key of an entry; its faults are placed below that key."""
    with at(key):
        return resolve()


def imported_weights_digest(
    path: Path, model: MethodSpec[ModelInfo], data: DataInfo, cache: Path
) -> str:
    """Return the digest of a file whose weights fit the architecture.

    Raises:
        UserError: it can't be loaded safely, or its keys are others.
    """
    from harness.bridges.backdoorbench.inspect_record import inspect_weights

    asked = [model.identity, data.classes, data.shape[0]]
    said = cached_inspection([path], asked, cache, lambda: inspect_weights(path, model, data))
    return str(said["digest"])
