"""Records of BackdoorBench as victims of a plan: what each says of itself, held against what is here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.bridges.backdoorbench.names import DATA
from harness.bridges.backdoorbench.record_folder import RESULT, images_of_test_sets
from harness.bridges.context import (
    IMPORTED,
    TRIGGERS,
    UNKNOWN,
    ImportContext,
    at_key,
    imported_weights_digest,
)
from harness.bridges.files.inspection_cache import cached_inspection
from harness.contract import ModelInfo
from harness.data.catalog import CATALOG
from harness.data.info import DataInfo, open_arrays
from harness.errors import UserError, nearest
from harness.plan.entries import resolve_method
from harness.plan.registry import names
from harness.plan.spec import MethodSpec, RecordFiles, Victim

OUR_DATA = {theirs: ours for ours, (theirs, _) in DATA.items()} | {"mnist": "mnist"}
"""Our names of the data sets that BackdoorBench names; of MNIST there are records, but we write
none."""


@dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """Records of BackdoorBench."""

    backdoorbench: str
    """A record's folder, or a glob of several, relative to the study."""
    data: Any = None
    """An entry of a data set, in place of the one that the record names."""
    model: Any = None
    """An entry of an architecture, in place of the one that the record names."""


def victim_of_record(folder: Path, entry: RecordEntry, setting: ImportContext) -> Victim:
    """Return the victim of a record.

    Raises:
        UserError: the record is broken, or does not fit the data set or the architecture.
        EntryErrors: a key of the entry is wrong.
    """
    from harness.bridges.backdoorbench.inspect_record import inspect_record

    files = (folder / RESULT, *images_of_test_sets(folder))
    said = cached_inspection(files, "record", setting.cache, lambda: inspect_record(folder))
    model = at_key("model", lambda: _model(said["model"], entry, folder, setting.base))
    data = at_key("data", lambda: _data(said["data"], entry, folder, setting))
    _agree(said, data, folder)
    imported_weights_digest(folder / RESULT, model, data, setting.cache)
    attack = resolve_method("attack", str(TRIGGERS / "backdoorbench.py"), setting.base)
    return Victim(
        data=data,
        model=model,
        recipe=UNKNOWN,
        recipe_name=IMPORTED,
        attack=replace(attack, label=folder.resolve().name, display=folder.resolve().name),
        rate=said["poisoned"],
        target=said["target"],
        seed=0,
        source=RecordFiles(str(folder.resolve()), said["digest"]),
    )


def _model(said: str, entry: RecordEntry, folder: Path, base: Path) -> MethodSpec[ModelInfo]:
    known = names("model")
    if entry.model is None and said not in known:
        raise UserError(
            f"{folder}: a record of the architecture {said!r}, which is not here{nearest(said, known)}"
        )
    return resolve_method("model", said if entry.model is None else entry.model, base)


def _data(said: str, entry: RecordEntry, folder: Path, setting: ImportContext) -> DataInfo:
    """Return a record's data set: the entry's, the study's own of that name, or the catalogue's."""
    name = OUR_DATA.get(said, said)
    own = next((info for info in setting.known if info.name == name), None)
    if entry.data is not None:
        info = setting.dataset(entry.data)
    elif own is not None:
        info = own
    elif said in OUR_DATA:
        info = setting.dataset(name)
    else:
        raise UserError(
            f"{folder}: a record on the data set {said!r}, which is not here{nearest(said, OUR_DATA)} "
            "(give it as 'data:')"
        )
    return _normalised(info, name) if said in OUR_DATA else info


def _normalised(data: DataInfo, name: str) -> DataInfo:
    """Return a data set normalised as BackdoorBench does it: as our catalogue has it, but for MNIST."""
    own = CATALOG[name].normalisation(data.shape[0])
    mean, std = ((0.5,), (0.5,)) if name == "mnist" else own
    return replace(data, mean=mean, std=std)


def _agree(said: dict[str, Any], data: DataInfo, folder: Path) -> None:
    """Hold a record against the data set that it is to be evaluated on.

    Raises:
        UserError: other classes, another size, an index out of range, or other labels at its
            indices.
    """
    ours = (data.classes, list(data.shape))
    if (said["classes"], said["shape"]) != ours:
        raise UserError(
            f"{folder}: {said['classes']} classes of images {said['shape']} (channels, height, width), but "
            f"{data.name} has {ours[0]} of {ours[1]}"
        )
    indices, labels = np.array(said["indices"]), np.array(said["labels"])
    if indices.min() < 0 or indices.max() >= data.test_count:
        raise UserError(
            f"{folder}: an index out of range: {indices.min()} to {indices.max()}, but {data.name} has "
            f"{data.test_count} test images"
        )
    others = np.count_nonzero(open_arrays(data).test_labels[indices] != labels)
    if others:
        raise UserError(
            f"{folder}: {others} of its {len(labels)} test images have other labels than those of "
            f"{data.name} at the same index: it was made on another data set, or another order of it"
        )
