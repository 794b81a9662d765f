"""Plans and their records become DataFrames: a row per planned cell or victim, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.plan.spec import (
    Cell,
    Victim,
)
from harness.plan.study import Study
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.gate import clean_acc, gate, verdict
from harness.report.frame.metric_info import with_changes
from harness.store.record import Record

SCORES = ("acc", "asr", "ra")
MEASURED = (
    *SCORES,
    *(f"{name}_before" for name in SCORES),
    *("der", "rir", "arr", "rdr", "seconds", "peak_mem_mb", "changed"),
)
VICTIM = ("study", "data", "model", "recipe", "attack", "rate", "target")
COLUMNS = (
    *VICTIM,
    *("defense", "family", "needs", "budget", "spc", "n_clean", "seed", "status", "gate"),
    *MEASURED,
    *(f"{name}_inverse" for name in SCORES),
    *("asr_triggers", "ra_triggers", "victim", "key", "error"),
)
STEALTH = ("psnr", "ssim", "linf")
VICTIM_COLUMNS = (
    *(*VICTIM, "seed", "status", "gate", *SCORES, "clean_acc", *STEALTH, "poisoned", "verdict"),
    *("seconds", "key", "error", *(f"{name}_reported" for name in SCORES)),
)
NAN = float("nan")


def build_frame(studies: Sequence[Study], latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per planned cell with COLUMNS and the changes; metrics are NaN unless status is ok."""
    labels = DisplayNames(studies)
    rows = [row for study in studies for row in _cells(study, latest, labels)]
    return with_changes(pd.DataFrame(rows, columns=list(COLUMNS)))


def _cells(
    study: Study, latest: Mapping[str, Record], labels: DisplayNames
) -> Iterator[dict[str, Any]]:
    gates = {key: gate(study, victim, latest) for key, victim in study.victims().items()}
    heads = {
        key: {**_head(study, victim, labels), "gate": gates.get(key, NAN)}
        for key, victim in study.defended.items()
    }
    for cell in study.cells:
        defense = labels.of_defense(study, cell.defense)
        yield _cell(heads[cell.victim.key], cell, latest.get(cell.key, {}), defense)


def build_victims(studies: Sequence[Study], latest: Mapping[str, Record]) -> pd.DataFrame:
    """Return one row per victim with VICTIM_COLUMNS; its own scores, before any defense."""
    labels = DisplayNames(studies)
    known = {key: (study, victim) for study in studies for key, victim in study.victims().items()}
    rows = [_victim(study, victim, latest, labels) for study, victim in known.values()]
    return pd.DataFrame(rows, columns=list(VICTIM_COLUMNS))


def _head(study: Study, victim: Victim, labels: DisplayNames) -> dict[str, Any]:
    return {
        "study": study.name,
        **labels.of_victim(study, victim),
        "rate": victim.poison_rate,
        "target": victim.target,
        "seed": victim.seed,
    }


def _victim(
    study: Study, victim: Victim, latest: Mapping[str, Record], labels: DisplayNames
) -> dict[str, Any]:
    record = latest.get(victim.key, {"status": "missing"})
    result = record.get("result", {})
    return {
        **_head(study, victim, labels),
        "status": record["status"],
        "gate": gate(study, victim, latest),
        **{name: result.get(name, NAN) for name in (*SCORES, *STEALTH, "poisoned")},
        "clean_acc": clean_acc(study, victim, latest),
        "verdict": verdict(study, victim, latest),
        "seconds": record.get("wall_seconds", NAN),
        "key": victim.key,
        "error": record.get("error", ""),
        **{f"{name}_reported": result.get("reported", {}).get(name, NAN) for name in SCORES},
    }


def _cell(victim: dict[str, Any], cell: Cell, record: Record, defense: str) -> dict[str, Any]:
    result = record.get("result", {})
    inverse = result.get("companions", {}).get("inverse", {})
    return {
        **victim,
        "seed": cell.seed,  # not its victim's: an imported one is repaired with each of the study's
        "defense": defense,
        "family": cell.defense.info.family,
        "needs": cell.needs,
        "budget": cell.budget.label(),
        "spc": NAN if cell.budget.spc is None else float(cell.budget.spc),
        "n_clean": sum(cell.budget.counts(cell.victim.data.train_counts)),
        "status": "skip" if cell.skip is not None else record.get("status", "missing"),
        **{name: result.get(name, NAN) for name in MEASURED},
        **{f"{name}_inverse": inverse.get(name, NAN) for name in SCORES},
        **{f"{name}_triggers": _mean_of(result, name) for name in ("asr", "ra")},
        "victim": cell.victim.key,
        "key": cell.key,
        "error": cell.skip or record.get("error", ""),
    }


def _mean_of(result: dict[str, Any], name: str) -> float:
    """Return a clean model's mean score under the triggers that it was scored with, else NaN."""
    scores = [score[name] for score in result.get("triggers", {}).values()]
    return sum(scores) / len(scores) if scores else NAN
