"""Checkpoints as victims: a file of weights, and the trigger that the model has learnt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.bridges.context import (
    IMPORTED,
    TRIGGERS,
    UNKNOWN,
    ImportContext,
    imported_weights_digest,
    labelled,
)
from harness.contract import AttackInfo, Target
from harness.data.catalog import CatalogEntry
from harness.data.image_formats import open_image
from harness.data.info import DataInfo, open_arrays
from harness.errors import EntryErrors, UserError, nearest
from harness.plan.entries import parse_entry, resolve_method
from harness.plan.paths import user_path
from harness.plan.registry import is_function
from harness.plan.spec import CheckpointFile, MethodSpec, Victim
from harness.plan.validation import at, validate

FORMS = ("blend", "patch", "pattern")


@dataclass(frozen=True, kw_only=True)
class CheckpointEntry:
    """A file of weights, and the trigger that the model was attacked with."""

    checkpoint: str
    model: Any
    data: Any
    trigger: Any
    target: Any
    normalise: Any = "data"
    """``data``: by the data set's mean and std; ``none``; or a mapping of mean and std."""
    name: str | None = None
    """The victim's name on boards; by default the file's."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Normalisation constants, on the [0, 1] scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def victim_of_checkpoint(entry: CheckpointEntry, context: ImportContext) -> Victim:
    """Return the victim of a checkpoint.

    Raises:
        EntryErrors: a key of the entry is wrong, the file can't be loaded safely, or its weights do
            not fit the architecture.
    """
    path = user_path(context.base, entry.checkpoint)
    with at("checkpoint"):
        if not path.is_file():
            raise UserError(f"no file {path}")
    with at("model"):
        model = resolve_method("model", entry.model, context.base)
    with at("data"):
        data = context.dataset(entry.data)
    with at("normalise"):
        data = _normalised(data, entry.normalise)
    with at("target"):
        target = _target(entry.target, data)
    with at("trigger"):
        attack = _trigger(entry.trigger, context.base)
        if attack.ref == str(TRIGGERS / "patch.py"):
            _require_patch_fits(attack.hyper, data)
    with at("checkpoint"):
        digest = imported_weights_digest(path, model, data, context.cache)
    return Victim(
        data=data,
        model=model,
        recipe=UNKNOWN,
        recipe_name=IMPORTED,
        attack=labelled(attack, path.stem, entry.name),
        rate=0,
        target=target,
        seed=0,
        source=CheckpointFile(str(path), digest),
    )


def _trigger(entry: Any, base: Path) -> MethodSpec[AttackInfo]:
    """Resolve ``patch``, ``pattern`` or ``blend`` with its settings, or ``file.py:function``."""
    name, settings = parse_entry(entry)
    if name not in FORMS and not is_function(name):
        raise UserError(f"unknown trigger {name!r}{nearest(name, (*FORMS, 'file.py:function'))}")
    ref = str(TRIGGERS / f"{name}.py") if name in FORMS else name
    try:
        return resolve_method("attack", {ref: settings}, base)
    except EntryErrors as error:
        faults = [((name, *location[1:]), message) for location, message in error.faults]
        raise EntryErrors(faults) from error


def _require_patch_fits(hyper: dict[str, Any], data: DataInfo) -> None:
    _, height, width = data.shape
    with at("patch"):
        try:
            with open_image(Path(hyper["image"])) as image:
                columns, rows = image.size
        except OSError as error:
            raise UserError(f"not an image: {hyper['image']}") from error
        top, left = hyper["position"] or (height - rows, width - columns)
        if min(top, left) < 0 or top + rows > height or left + columns > width:
            raise UserError(
                f"a patch of {rows}x{columns} at {top}, {left} does not fit into {height}x{width}"
            )


def _normalised(data: DataInfo, entry: Any) -> DataInfo:
    channels = data.shape[0]
    if entry == "data":
        return data
    if entry == "none":
        mean, std = CatalogEntry().normalisation(channels)
        return replace(data, mean=mean, std=std)
    if not isinstance(entry, dict):
        raise UserError(f"needs data, none, or a mapping of mean and std, not {entry!r}")
    statistics = validate(Statistics, entry)
    counts = {len(statistics.mean), len(statistics.std)}
    if counts != {channels} or min(statistics.std) <= 0:
        raise UserError(f"needs {channels} values of mean, and {channels} of std, all above 0")
    return replace(data, **asdict(statistics))


def _target(entry: Any, data: DataInfo) -> Target:
    if entry == "all-to-all":
        return "all-to-all"
    if isinstance(entry, bool) or not isinstance(entry, int) or not 0 <= entry < data.classes:
        raise UserError(
            f"needs a class of {data.name}, 0 to {data.classes - 1}, or all-to-all, not {entry!r}"
        )
    if (open_arrays(data).test_labels == entry).all():
        raise UserError(f"all test images of {data.name} are of class {entry}: no ASR on them")
    return entry
