"""Plans and their records become DataFrames: a row per planned cell or victim, whatever became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd

from harness.plan import Cell, Study, Victim
from harness.registry import describe
from harness.report.labels import Labels
from harness.report.quantities import with_changes
from harness.store import Record

SCORES = ("acc", "asr", "ra")
MEASURED = (
    *SCORES,
    *(f"{name}_before" for name in SCORES),
    *("der", "rir", "arr", "rdr", "seconds", "peak_mem_mb"),
)
VICTIM = ("study", "data", "model", "recipe", "attack", "rate", "target")
COLUMNS = (
    *VICTIM,
    *("defense", "family", "needs", "budget", "spc", "n_clean", "seed", "status", "gate"),
    *MEASURED,
    *(f"{name}_inverse" for name in SCORES),
    *("victim", "key", "error"),
)
VICTIM_COLUMNS = (*VICTIM, "seed", "status", "gate", *SCORES, "poisoned", "seconds", "key", "error")
NAN = float("nan")


def build_frame(studies: Sequence[Study], latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per planned cell with COLUMNS and the changes; metrics are NaN unless status is ok."""
    labels = Labels(studies)
    rows = [_cell(study, cell, latest, labels) for study in studies for cell in study.cells]
    return with_changes(pd.DataFrame(rows, columns=list(COLUMNS)))


def build_victims(studies: Sequence[Study], latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per victim with VICTIM_COLUMNS; its own scores, before any defense."""
    labels = Labels(studies)
    known = {key: (study, victim) for study in studies for key, victim in study.victims().items()}
    rows = [_victim(study, victim, latest.get(key), labels) for key, (study, victim) in known.items()]
    return pd.DataFrame(rows, columns=list(VICTIM_COLUMNS))


def _head(study: Study, victim: Victim, labels: Labels) -> dict[str, Any]:
    return {
        "study": study.name,
        **labels.of_victim(study, victim),
        "rate": victim.rate,
        "target": victim.target,
        "seed": victim.seed,
    }


def _victim(study: Study, victim: Victim, record: Record | None, labels: Labels) -> dict[str, Any]:
    record = record or {"status": "missing"}
    result = record.get("result", {})
    return {
        **_head(study, victim, labels),
        "status": record["status"],
        "gate": _gate(study, record),
        **{name: result.get(name, NAN) for name in (*SCORES, "poisoned")},
        "seconds": record.get("wall_seconds", NAN),
        "key": victim.key,
        "error": record.get("error", ""),
    }


def _cell(study: Study, cell: Cell, latest: Mapping[str, Record], labels: Labels) -> dict[str, Any]:
    record = latest.get(cell.key, {})
    result = record.get("result", {})
    inverse = result.get("companions", {}).get("inverse", {})
    victim = cell.victim
    return {
        **_head(study, victim, labels),
        "defense": labels.of_defense(study, cell.defense),
        "family": _family(cell.defense.ref),
        "needs": cell.needs,
        "budget": cell.budget.label(),
        "spc": NAN if cell.budget.spc is None else float(cell.budget.spc),
        "n_clean": sum(cell.budget.counts(victim.data.train_counts)),
        "status": "skip" if cell.skip is not None else record.get("status", "missing"),
        "gate": _gate(study, latest.get(victim.key, {})),
        **{name: result.get(name, NAN) for name in MEASURED},
        **{f"{name}_inverse": inverse.get(name, NAN) for name in SCORES},
        "victim": victim.key,
        "key": cell.key,
        "error": cell.skip or record.get("error", ""),
    }


@cache
def _family(ref: str) -> str:
    return describe("defense", ref).about.family


def _gate(study: Study, victim: Record) -> bool | float:
    """Tell whether the victim counts; NaN while there is none."""
    if victim.get("status") != "ok":
        return NAN
    return study.gate.passed(victim["result"]["acc"], victim["result"]["asr"])
