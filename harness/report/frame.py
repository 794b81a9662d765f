"""A plan and its records become one DataFrame: one row per planned cell, whatever became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.plan import Cell, Study
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
)
COLUMNS = (
    *("study", "data", "model", "recipe", "attack", "rate", "target", "defense", "needs", "budget", "spc"),
    *("n_clean", "seed", "status", "gate"),
    *MEASURED,
    *("acc_inverse", "asr_inverse", "ra_inverse", "victim", "key", "error"),
)


def build_frame(study: Study, latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per planned cell with the columns COLUMNS; metrics are NaN unless status is ok."""
    gates = {key: _gate(study, latest.get(key)) for key in {cell.victim.key for cell in study.cells}}
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
        "rate": victim.rate,
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
        "victim": victim.key,
        "key": cell.key,
        "error": cell.skip or record.get("error", ""),
    }


def _gate(study: Study, victim: Record | None) -> bool | float:
    """Tell whether the victim counts; NaN while there is none."""
    if victim is None or victim["status"] != "ok":
        return float("nan")
    return study.gate.passed(victim["result"]["acc"], victim["result"]["asr"])
