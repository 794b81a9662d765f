"""Two stores side by side: the cells that mean the same in both, whatever their methods' versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.plan.keys import canonical, digest
from harness.report.frame.frame import MEASURED, NAN
from harness.store.record_files import Record

Versions = dict[str, set[str]]


@dataclass(frozen=True)
class StoreCells:
    """The cells of one store."""

    cells: pd.DataFrame
    """Indexed by what a cell means; the columns that ``statistics.summarize`` needs, and
    ``name``."""
    versions: Versions
    """Versions by method ("defense ims"), and of the training and evaluation loops."""


def store_cells(latest: Mapping[str, Record]) -> StoreCells:
    """Return the cells of a store's newest records; a cell whose victim has no record has no meaning here.

    Of several versions of one cell in one store, the one that finished last counts.
    """
    rows: dict[str, dict[str, Any]] = {}
    versions: Versions = defaultdict(set)
    for record in sorted(latest.values(), key=lambda record: str(record["finished"])):
        victim = latest.get(record["spec"].get("victim", ""))
        if record["kind"] == "cell" and victim is not None:
            rows[comparison_key(record["spec"], victim["spec"])] = _row(record, victim)
            for name, version in _versions(record["spec"], victim["spec"]):
                versions[name].add(version)
    return StoreCells(pd.DataFrame.from_dict(rows, orient="index"), dict(versions))


def _plain(identity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != "version"}


def comparison_key(cell: dict[str, Any], victim: dict[str, Any]) -> str:
    """Return what a cell asks for, without the versions of what answers."""
    asked = {name: victim[name] for name in ("data", "recipe", "rate", "target")}
    asked |= {"seed": cell["seed"], "source": victim.get("source", "")}
    methods = {name: _plain(victim[name]) for name in ("model", "attack")}
    return canonical([asked, methods, _plain(cell["defense"]), cell["budget"]])


def _versions(cell: dict[str, Any], victim: dict[str, Any]) -> list[tuple[str, str]]:
    methods = {"defense": cell["defense"], "attack": victim["attack"], "model": victim["model"]}
    named = [
        (f"{kind} {identity['name']}", identity["version"]) for kind, identity in methods.items()
    ]
    made = "training" if "training" in victim else "importing"
    return [*named, (made, str(victim[made])), ("evaluation", str(cell["evaluation"]))]


def _row(record: Record, victim: Record) -> dict[str, Any]:
    """Return one cell; names are read from the record's, and the setting keeps equal names apart."""
    spec, result = victim["spec"], record.get("result", {})
    data, model, attack, *_, defense, budget = record["name"].split(" / ")
    setting = [
        spec["data"],
        _plain(spec["model"]),
        spec["recipe"],
        _plain(record["spec"]["defense"]),
    ]
    return {
        **{"study": "", "data": data, "model": model, "recipe": digest(setting)[:6]},
        **{"attack": f"{attack} {digest(_plain(spec['attack']))[:6]}", "rate": spec["rate"]},
        **{
            "target": spec["target"],
            "defense": defense,
            "budget": budget,
            "seed": record["spec"]["seed"],
        },
        **{"status": record["status"], "gate": NAN, "key": record["key"], "name": record["name"]},
        **{name: result.get(name, NAN) for name in MEASURED},
    }
