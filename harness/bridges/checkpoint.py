"""Checkpoints as victims: a file of weights, and the trigger that the model has learnt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
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
from harness.bridges.files.inspect_trigger import require_trigger
from harness.contract import AttackInfo, Target
from harness.data.catalog import CatalogEntry
from harness.data.image_formats import open_image
from harness.data.info import DataInfo
from harness.errors import EntryErrors, UserError, nearest
from harness.plan.entries import parse_entry, resolve_method
from harness.plan.names import NO_ATTACK
from harness.plan.paths import user_path
from harness.plan.registry import is_function
from harness.plan.spec import CheckpointFile, MethodSpec, Victim
from harness.plan.target import resolve_target
from harness.plan.validation import EntryFaults, at, validate

FORMS = ("blend", "patch", "pattern")
NO_TARGET = 0
"""The target class of a clean model, as a study's own clean models have it."""


@dataclass(frozen=True, kw_only=True)
class CheckpointEntry:
    """A file of weights, and the trigger that the model was attacked with, or ``none``."""

    checkpoint: str
    model: Any
    data: Any
    trigger: Any
    target: Any = None
    """Required unless the trigger is ``none``."""
    normalise: Any = "data"
    """``data``: by the data set's mean and std; ``none``; or a mapping of mean and std."""
    name: str | None = None
    """The victim's name on boards; by default the file's."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Normalisation constants, on the [0, 1] scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def victim_of_checkpoint(entry: dict[str, Any], context: ImportContext) -> Victim:
    """Return the victim of a checkpoint; ``entry`` has the keys of a CheckpointEntry.

    Raises:
        EntryErrors: keys of the entry are wrong, the file can't be loaded safely, or its weights do
            not fit the architecture.
    """
    faults, base = EntryFaults(), context.base
    with faults.at():
        validate(CheckpointEntry, entry)
    path = faults.part("checkpoint", entry, lambda file: _file(base, file))
    model = faults.part("model", entry, lambda name: resolve_method("model", name, base))
    data = faults.part("data", entry, context.dataset)
    attack = faults.part("trigger", entry, lambda trigger: _trigger(trigger, base))
    target, digest = None, ""
    if data is not None:
        known = data
        clean = attack is not None and attack.name == NO_ATTACK
        find = _no_target if clean else partial(_target, known)
        target = faults.part("target", {"target": None, **entry}, find)
        data = faults.part("normalise", {"normalise": "data", **entry}, partial(_normalised, known))
        if attack is not None:
            with faults.at("trigger"):
                if attack.ref == str(TRIGGERS / "patch.py"):
                    _require_patch_fits(attack.hyper, known)
                if is_function(attack.ref):
                    require_trigger(attack, known, context.cache)
    if path is not None and model is not None and data is not None:
        with faults.at("checkpoint"):
            digest = imported_weights_digest(path, model, data, context.cache)
    if path is not None and attack is not None:
        with faults.at():
            attack = labelled(attack, path.stem, entry.get("name"))
    faults.raise_all()
    assert path is not None and model is not None and data is not None
    assert attack is not None and target is not None
    return Victim(
        data=data,
        model=model,
        recipe=UNKNOWN,
        recipe_name=IMPORTED,
        attack=attack,
        rate=0,
        target=target,
        seed=0,
        source=CheckpointFile(str(path), digest),
    )


def _file(base: Path, name: str) -> Path:
    path = user_path(base, name)
    if not path.is_file():
        raise UserError(f"no file {path}")
    return path


def _trigger(entry: Any, base: Path) -> MethodSpec[AttackInfo]:
    """Resolve ``none``, a form of trigger with its settings, or ``file.py:function``."""
    name, settings = parse_entry(entry)
    if name not in (NO_ATTACK, *FORMS) and not is_function(name):
        known = (*FORMS, "file.py:function", NO_ATTACK)
        raise UserError(f"unknown trigger {name!r}{nearest(name, known)}")
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


def _target(data: DataInfo, entry: Any) -> Target:
    if entry is None:
        raise UserError("'target' is missing")
    return resolve_target(entry, data)


def _no_target(entry: Any) -> Target:
    if entry is not None:
        raise UserError("a model without a trigger has no target; leave it out")
    return NO_TARGET
