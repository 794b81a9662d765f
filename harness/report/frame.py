"""A plan and its records become one DataFrame: one row per planned cell, whatever became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.plan import Cell, Study, Victim
from harness.records import Record

MEASURED = (
    "acc",
    "asr",
    "ra",
    "acc_before",
    "asr_before",
    "ra_before",
    "der",
    "rir",
    "arr",
    "rdr",
    "seconds",
    "peak_mem_mb",
    "changed",
)
COLUMNS = (
    *("study", "data", "model", "recipe", "attack", "rate", "target", "defense", "needs", "budget", "spc"),
    *("n_clean", "seed", "status", "gate"),
    *MEASURED,
    *("acc_inverse", "asr_inverse", "ra_inverse", "asr_triggers", "ra_triggers", "victim", "key", "error"),
)


def build_frame(study: Study, latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per planned cell with the columns COLUMNS; metrics are NaN unless status is ok."""
    victims = {cell.victim.key: cell.victim for cell in study.cells}
    gates = {key: gate(study, victim, latest) for key, victim in victims.items()}
    rows = [_row(study, cell, latest.get(cell.key, {}), gates[cell.victim.key]) for cell in study.cells]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(study: Study, cell: Cell, record: Record, gate: bool | float) -> dict[str, Any]:
    result = record.get("result", {})
    inverse = result.get("companions", {}).get("inverse", {})
    victim = cell.victim
    return {
        "study": study.name,
        "data": victim.data.name,
        "model": victim.model.label,
        "recipe": victim.recipe_name,
        "attack": victim.attack.label,
        "rate": victim.share,
        "target": victim.target,
        "defense": cell.defense.label,
        "needs": cell.needs,
        "budget": cell.budget.label(),
        "spc": float("nan") if cell.budget.spc is None else float(cell.budget.spc),
        "n_clean": sum(cell.budget.counts(victim.data.train_counts)),
        "seed": cell.seed,
        "status": "skip" if cell.skip is not None else record.get("status", "missing"),
        "gate": gate,
        **{name: result.get(name, float("nan")) for name in MEASURED},
        **{f"{name}_inverse": inverse.get(name, float("nan")) for name in ("acc", "asr", "ra")},
        **{f"{name}_triggers": _mean_of(result, name) for name in ("asr", "ra")},
        "victim": victim.key,
        "key": cell.key,
        "error": cell.skip or record.get("error", ""),
    }


def _mean_of(result: dict[str, Any], name: str) -> float:
    """Return a clean model's mean score under the triggers that it was scored with, else NaN."""
    scores = [score[name] for score in result.get("triggers", {}).values()]
    return sum(scores) / len(scores) if scores else float("nan")


def gate(study: Study, victim: Victim, latest: Mapping[str, Record]) -> bool | float:
    """Tell whether a victim counts in averages; NaN while that is unknown. A clean model never does."""
    record = latest.get(victim.key)
    if record is None or record["status"] != "ok":
        return float("nan")
    if victim.is_clean:
        return False
    clean = study.clean.get(victim.key)
    reference = (
        None if clean is None else latest.get(clean.key, {}).get("result", {}).get("acc", float("nan"))
    )
    if reference is not None and math.isnan(reference):
        return float("nan")
    return study.gate.passed(record["result"]["acc"], record["result"]["asr"], reference)
