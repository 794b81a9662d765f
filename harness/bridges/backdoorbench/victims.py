"""BackdoorBench records as victims, after checking them against the local data set."""

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
    imported_weights_digest,
    labelled,
)
from harness.bridges.files.inspection_cache import cached_inspection
from harness.contract import ModelInfo
from harness.data.catalog import CATALOG
from harness.data.info import DataInfo, open_arrays
from harness.errors import UserError, nearest
from harness.plan.entries import resolve_method
from harness.plan.registry import names
from harness.plan.spec import MethodSpec, RecordFiles, Victim
from harness.plan.validation import EntryFaults

OUR_DATA = {original: ours for ours, (original, _) in DATA.items()} | {"mnist": "mnist"}
"""Our names of BackdoorBench's data sets. MNIST can be imported, but not exported."""


@dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """One or several BackdoorBench records."""

    backdoorbench: str
    """A record's folder, or a glob of folders, relative to the study."""
    data: Any = None
    """The entry of a data set, instead of the record's."""
    model: Any = None
    """The entry of an architecture, instead of the record's."""
    name: str | None = None
    """The victim's name on boards, instead of the folder's; for one record."""


def victim_of_record(folder: Path, entry: dict[str, Any], context: ImportContext) -> Victim:
    """Return the victim of a record; ``entry`` has the keys of a RecordEntry.

    Raises:
        UserError: the record is broken, or does not fit the data set or the architecture.
        EntryErrors: keys of the entry are wrong.
    """
    from harness.bridges.backdoorbench.inspect_record import inspect_record

    faults, record = EntryFaults(), None
    model = faults.part("model", entry, lambda x: resolve_method("model", x, context.base))
    data = faults.part("data", entry, context.dataset)
    files = (folder / RESULT, *images_of_test_sets(folder))
    with faults.at():
        record = cached_inspection(files, "record", context.cache, lambda: inspect_record(folder))
    if record is not None:
        if "model" not in entry:
            with faults.at("model"):
                model = _recorded_model(record, folder, context.base)
        if "data" not in entry:
            with faults.at("data"):
                data = _recorded_data(record["data"], folder, context)
        if data is not None:
            data = _normalised(data, record["data"])
            with faults.at():
                _check_data(record, data, folder)
        if data is not None and model is not None:
            with faults.at():
                imported_weights_digest(folder / RESULT, model, data, context.cache)
    attack = resolve_method("attack", str(TRIGGERS / "backdoorbench.py"), context.base)
    with faults.at():
        attack = labelled(attack, folder.resolve().name, entry.get("name"))
    faults.raise_all()
    assert record is not None and model is not None and data is not None
    return Victim(
        data=data,
        model=model,
        recipe=UNKNOWN,
        recipe_name=IMPORTED,
        attack=attack,
        rate=record["poisoned"],
        target=record["target"],
        seed=0,
        source=RecordFiles(str(folder.resolve()), record["digest"]),
    )


def _recorded_model(record: dict[str, Any], folder: Path, base: Path) -> MethodSpec[ModelInfo]:
    name, known = record["model"], names("model")
    if name not in known:
        raise UserError(
            f"{folder}: the record's architecture {name!r} is unknown{nearest(name, known)}"
        )
    return resolve_method("model", {name: record["hyper"]}, base)


def _recorded_data(original: str, folder: Path, context: ImportContext) -> DataInfo:
    """Return a record's data set: the study's of that name, else the catalogue's.

    ``original`` is the name in the record.
    """
    name = OUR_DATA.get(original, original)
    of_study = next((info for info in context.study_data if info.name == name), None)
    if of_study is not None:
        return of_study
    if original in OUR_DATA:
        return context.dataset(name)
    raise UserError(
        f"{folder}: the record's data set {original!r} is unknown"
        f"{nearest(original, OUR_DATA)} (name one with 'data')"
    )


def _normalised(data: DataInfo, original: str) -> DataInfo:
    """Return a data set with BackdoorBench's normalisation: our catalogue's, except for MNIST.

    That of a data set which BackdoorBench has not is its own.
    """
    if original not in OUR_DATA:
        return data
    name = OUR_DATA[original]
    catalogue = CATALOG[name].normalisation(data.shape[0])
    mean, std = ((0.5,), (0.5,)) if name == "mnist" else catalogue
    return replace(data, mean=mean, std=std)


def _check_data(record: dict[str, Any], data: DataInfo, folder: Path) -> None:
    """Check that a record was made on the data set that it will be evaluated on.

    Raises:
        UserError: other classes, another size, an index out of range, or other labels at its
            indices.
    """
    classes, shape = record["classes"], record["shape"]
    if (classes, shape) != (data.classes, list(data.shape)):
        raise UserError(
            f"{folder}: {classes} classes of images {shape} (channels, height, width), but "
            f"{data.name} has {data.classes} of {list(data.shape)}"
        )
    indices, labels = np.array(record["indices"]), np.array(record["labels"])
    if indices.min() < 0 or indices.max() >= data.test_count:
        raise UserError(
            f"{folder}: an index out of range: {indices.min()} to {indices.max()}, but "
            f"{data.name} has {data.test_count} test images"
        )
    different = np.count_nonzero(open_arrays(data).test_labels[indices] != labels)
    if different:
        raise UserError(
            f"{folder}: {different} of its {len(labels)} test images have other labels than "
            f"{data.name} at the same index: it was made on another data set, or in another order"
        )
