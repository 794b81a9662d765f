"""Two stores side by side: the cells that mean the same in both, whatever their methods' versions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pandas as pd
from msgspec import to_builtins

from harness.plan.keys import canonical, digest
from harness.report.frame.frame import MEASURED, NAN
from harness.store.record import CellRecord, CellSpec, MethodIdentity, VictimRecord, VictimSpec, numbers
from harness.store.record_files import LatestRecords

Versions = dict[str, set[str]]


@dataclass(frozen=True)
class StoreCells:
    """The cells of one store."""

    cells: pd.DataFrame
    """Indexed by what a cell means; the columns that ``statistics.summarize`` needs, and
    ``name``."""
    versions: Versions
    """Versions by method ("defense ims"), and of the training and evaluation loops."""


def store_cells(latest: LatestRecords) -> StoreCells:
    """Return the cells of a store's newest records; a cell whose victim has no record has no meaning here.

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


def _plain(method: MethodIdentity) -> dict[str, Any]:
    return {"name": method.name, "hyper": method.hyper}


def comparison_key(cell: CellSpec, victim: VictimSpec) -> str:
    """Return what a cell asks for, without the versions of what answers."""
    asked = {
        "data": victim.data,
        "recipe": victim.recipe,
        "rate": victim.rate,
        "target": victim.target,
        "seed": cell.seed,
        "source": "" if victim.source is None else to_builtins(victim.source),
    }
    methods = {"model": _plain(victim.model), "attack": _plain(victim.attack)}
    return canonical([asked, methods, _plain(cell.defense), to_builtins(cell.budget)])


def _row(record: CellRecord, victim: VictimRecord) -> dict[str, Any]:
    """Return one cell; names are read from the record's, and the setting keeps equal names apart."""
    spec, measured = victim.spec, numbers(record.result)
    data, model, attack, *_, defense, budget = record.name.split(" / ")
    setting = [spec.data, _plain(spec.model), spec.recipe, _plain(record.spec.defense)]
    return {
        "study": "",
        "data": data,
        "model": model,
        "recipe": digest(setting)[:6],
        "attack": f"{attack} {digest(_plain(spec.attack))[:6]}",
        "rate": spec.rate,
        "target": spec.target,
        "defense": defense,
        "budget": budget,
        "seed": record.spec.seed,
        "status": str(record.status),
        "gate": NAN,
        "key": record.key,
        "name": record.name,
        **{name: measured.get(name, NAN) for name in MEASURED},
    }
