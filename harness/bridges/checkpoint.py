"""Checkpoints from anywhere as victims of a plan: weights, and the trigger that the model has learnt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.bridges.context import (
    IMPORTED,
    TRIGGERS,
    UNKNOWN,
    ImportContext,
    at_key,
    imported_weights_digest,
)
from harness.contract import AttackInfo, Target
from harness.data.catalog import CatalogEntry
from harness.data.info import DataInfo
from harness.errors import UserError, nearest
from harness.plan.entries import (
    parse_entry,
    resolve_method,
)
from harness.plan.registry import is_function
from harness.plan.spec import CheckpointFile, MethodSpec, Victim
from harness.plan.validation import (
    EntryErrors,
    validate,
)

FORMS = ("blend", "patch", "pattern")


@dataclass(frozen=True, kw_only=True)
class CheckpointEntry:
    """The weights of a model from anywhere, and the trigger that it was attacked with."""

    checkpoint: str
    model: Any
    data: Any
    trigger: Any
    target: Any
    normalise: Any = "data"
    """data: by the data set's mean and std; none; or a mapping of mean and std."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What images are normalised by, on the [0, 1] scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def victim_of_checkpoint(entry: CheckpointEntry, setting: ImportContext) -> Victim:
    """Return the victim of a checkpoint.

    Raises:
        UserError: its file can't be read safely, or does not fit the architecture.
        EntryErrors: a key of the entry is wrong.
    """
    path = (setting.base / Path(entry.checkpoint).expanduser()).resolve()
    if not path.is_file():
        raise EntryErrors([(("checkpoint",), f"no file {path}")])
    model = at_key("model", lambda: resolve_method("model", entry.model, setting.base))
    plain = at_key("data", lambda: setting.dataset(entry.data))
    data = at_key("normalise", lambda: _normalised(plain, entry.normalise))
    target = at_key("target", lambda: _target(entry.target, data))
    attack = at_key("trigger", lambda: _trigger(entry.trigger, setting.base))
    digest = at_key("checkpoint", lambda: imported_weights_digest(path, model, data, setting.cache))
    return Victim(
        data=data,
        model=model,
        recipe=UNKNOWN,
        recipe_name=IMPORTED,
        attack=replace(attack, label=path.stem, display=path.stem),
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
        raise EntryErrors([((name, *place[1:]), text) for place, text in error.faults]) from error


def _normalised(data: DataInfo, entry: Any) -> DataInfo:
    channels = data.shape[0]
    if entry == "data":
        return data
    if entry == "none":
        mean, std = CatalogEntry().normalisation(channels)
        return replace(data, mean=mean, std=std)
    if not isinstance(entry, dict):
        raise UserError(f"data, none, or a mapping of mean and std is needed, not {entry!r}")
    given = validate(Statistics, entry)
    if len(given.mean) != channels or len(given.std) != channels or min(given.std) <= 0:
        raise UserError(f"{channels} values of mean, and of std, all above 0, are needed")
    return replace(data, **asdict(given))


def _target(entry: Any, data: DataInfo) -> Target:
    if entry == "all-to-all":
        return "all-to-all"
    if isinstance(entry, bool) or not isinstance(entry, int) or not 0 <= entry < data.classes:
        raise UserError(
            f"a class of {data.name}, 0 to {data.classes - 1}, or all-to-all is needed, not {entry!r}"
        )
    return entry
