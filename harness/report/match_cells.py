"""Matches the cells of two stores: the same data, methods and seeds, whatever the versions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pandas as pd
from msgspec import to_builtins

from harness.errors import UserError
from harness.plan.keys import canonical, digest
from harness.plan.names import NO_ATTACK
from harness.report.frame.frame import MEASURED, NAN, shared_gpu
from harness.report.frame.metric_info import OF_TRIGGER
from harness.store.record import (
    CellRecord,
    CellSpec,
    MethodIdentity,
    VictimRecord,
    VictimSpec,
    numbers,
)
from harness.store.record_files import LatestRecords

LABELS = 5
"""The fewest parts of a cell's name."""
Versions = dict[str, set[str]]


@dataclass(frozen=True)
class StoreCells:
    """The cells of one store."""

    cells: pd.DataFrame
    """Indexed by ``comparison_key``; the columns that ``means.summarize`` needs, and ``name``."""
    versions: Versions
    """Versions by method ("defense ims"), and of the training and evaluation loops."""


def store_cells(latest: LatestRecords) -> StoreCells:
    """Return the cells of a store's newest records whose victims have a record.

    Of several versions of one cell in one store, the one that finished last counts.
    """
    rows: dict[str, dict[str, Any]] = {}
    versions: Versions = defaultdict(set)
    cells = (record for record in latest.values() if isinstance(record, CellRecord))
    for record in sorted(cells, key=lambda record: record.finished):
        victim = latest.victim(record.spec.victim)
        if victim is not None:
            rows[comparison_key(record.spec, victim.spec)] = _row(record, victim)
            for name, version in (record.versions() | victim.versions()).items():
                versions[name].add(version)
    return StoreCells(pd.DataFrame.from_dict(rows, orient="index"), dict(versions))


def _without_version(method: MethodIdentity) -> dict[str, Any]:
    return {"name": method.name, "hyper": method.hyper}


def comparison_key(cell: CellSpec, victim: VictimSpec) -> str:
    """Return the key of a cell without any versions: equal for cells that can be compared."""
    setting = {
        "data": victim.data,
        "recipe": victim.recipe,
        "rate": victim.rate,
        "target": victim.target,
        "seed": cell.seed,
        "draw": cell.draw or 0,
        "source": "" if victim.source is None else to_builtins(victim.source),
    }
    methods = {"model": _without_version(victim.model), "attack": _without_version(victim.attack)}
    return canonical([setting, methods, _without_version(cell.defense), to_builtins(cell.budget)])


def _row(record: CellRecord, victim: VictimRecord) -> dict[str, Any]:
    """Return one cell; labels are parts of the record's name, with digests to make them unique."""
    spec, measured = victim.spec, numbers(record.result)
    if spec.attack.name == NO_ATTACK:
        measured = {name: x for name, x in measured.items() if name not in OF_TRIGGER}
    labels = record.name.split(" / ")
    if len(labels) < LABELS:
        raise UserError(f"record {record.key}: {record.name[:80]!r} is not the name of a cell")
    data, model, attack, *_, defense, budget = labels
    setting = [
        spec.data,
        _without_version(spec.model),
        spec.recipe,
        _without_version(record.spec.defense),
    ]
    return {
        "study": "",
        "data": data,
        "model": model,
        "recipe": digest(setting)[:6],
        "attack": f"{attack} {digest(_without_version(spec.attack))[:6]}",
        "rate": spec.rate,
        "target": spec.target,
        "defense": defense,
        "budget": budget.partition(", draw ")[0],
        "seed": record.spec.seed,
        "draw": record.spec.draw or 0,
        "status": str(record.status),
        "gate": NAN,
        "key": record.key,
        "name": record.name,
        "shared": shared_gpu(record),
        **{name: measured.get(name, NAN) for name in MEASURED},
    }
