"""Studies and their records as DataFrames: one row per planned cell or victim."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.plan.names import PlanStatus
from harness.plan.target import target_class
from harness.report.frame.columns import CELL_COLUMNS, CONDITION, VICTIM_COLUMNS
from harness.report.frame.labels import StudyLabels
from harness.report.frame.metric_info import OF_TRIGGER, SCORES, with_changes
from harness.report.frame.probes import ProbeNumbers, probe_columns
from harness.store.gate import cell_status, clean_acc, gate, unplanted_victims, verdict
from harness.store.record import CellRecord, VictimRecord, numbers
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.budget import BudgetSpec
    from harness.plan.spec import Cell, Victim
    from harness.plan.study import Study

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
"""The columns that a cell's result has under the same names."""
FURTHER = (*(f"{name}_inverse" for name in SCORES), "asr_triggers", "ra_triggers")
"""Those of further networks, and of triggers on a clean model."""
COLUMNS = tuple(CELL_COLUMNS)
CONDITION_OF_VICTIM = tuple(CONDITION)
STEALTH = ("psnr", "ssim", "linf")
NAN = float("nan")


def build_frame(studies: Sequence[Study], latest: LatestRecords) -> pd.DataFrame:
    """Return one row per planned cell: COLUMNS, the numbers of probes, and what follows from them.

    There are no metrics unless the status is ok, and none of a trigger for clean models.
    """
    labels = StudyLabels(studies)
    rows = [row for study in studies for row in _cells(study, latest, labels)]
    probes = [column.name for column in probe_columns(studies, labels)]
    return with_changes(pd.DataFrame(rows, columns=[*COLUMNS, *probes]))


def _cells(study: Study, latest: LatestRecords, labels: StudyLabels) -> Iterator[dict[str, Any]]:
    gates = {key: gate(study, victim, latest) for key, victim in study.victims().items()}
    heads = {
        key: {**_head(study, victim, labels), "gate": gates.get(key, NAN)}
        for key, victim in study.defended.items()
    }
    unplanted = unplanted_victims(study, latest)
    probes = ProbeNumbers(study, latest, labels).by_cell
    for cell in study.cells:
        head = {**heads[cell.victim.key], "status": str(cell_status(cell, latest, unplanted))}
        reason = cell.skip or unplanted.get(cell.victim.key, "")
        defense = labels.of_defense(study, cell.defense)
        row = _cell(head, cell, latest.cell(cell.key), reason, defense)
        yield row | probes.get(cell.key, {})


def filled(frame: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose missing cells have the numbers of the known cell with their key, if any.

    A key is the digest of everything that decides a cell's numbers: a run would give the same. So
    has a victim whose gate is unknown that of the known cells on it.
    """
    rows = known.drop_duplicates("key").set_index("key")
    missing = frame["status"].eq(PlanStatus.MISSING) & frame["key"].isin(rows.index)
    found = rows.loc[frame.loc[missing, "key"]]
    whole = frame.copy()
    for name in ("status", "error", *MEASURED, *FURTHER):
        whole.loc[missing, name] = found[name].to_numpy()
    gates = rows.drop_duplicates("victim").set_index("victim")["gate"]
    gate_known = frame["gate"].notna()
    whole["gate"] = frame["gate"].astype(object).where(gate_known, frame["victim"].map(gates))
    return with_changes(whole)


def build_controls(studies: Sequence[Study], latest: LatestRecords) -> pd.DataFrame:
    """Return one row per victim and seed: what probes measured on its clean model."""
    labels = StudyLabels(studies)
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for study in studies:
        for run, measured in ProbeNumbers(study, latest, labels).controls():
            row = rows.setdefault(
                (run.victim.key, run.victim.seed),
                {**_head(study, run.victim, labels), "victim": run.victim.key},
            )
            row.update(measured)
    columns = [column.name for column in probe_columns(studies, labels)]
    return pd.DataFrame(rows.values(), columns=[*CONDITION_OF_VICTIM, "seed", "victim", *columns])


def build_victims(studies: Sequence[Study], latest: LatestRecords) -> pd.DataFrame:
    """Return one row per victim with VICTIM_COLUMNS: its own scores, before any defense."""
    labels = StudyLabels(studies)
    victims = {key: (study, victim) for study in studies for key, victim in study.victims().items()}
    rows = [_victim(study, victim, latest, labels) for study, victim in victims.values()]
    return pd.DataFrame(rows, columns=list(VICTIM_COLUMNS))


def _head(study: Study, victim: Victim, labels: StudyLabels) -> dict[str, Any]:
    return {
        "study": study.name,
        **labels.of_victim(study, victim),
        "rate": victim.poison_rate,
        "target": victim.target,
        "target_class": target_class(victim.target, victim.data),
        "seed": victim.seed,
        "attacked": not victim.is_clean,
    }


def _victim(
    study: Study, victim: Victim, latest: LatestRecords, labels: StudyLabels
) -> dict[str, Any]:
    record = latest.victim(victim.key)
    measured = numbers(None if record is None else record.result)
    if victim.is_clean:
        measured = _without_trigger(measured, (*OF_TRIGGER, *STEALTH))
    reported = numbers(record.result.reported if record and record.result else None)
    return {
        **_head(study, victim, labels),
        "status": str(PlanStatus.MISSING if record is None else record.status),
        "gate": gate(study, victim, latest),
        **{name: measured.get(name, NAN) for name in (*SCORES, *STEALTH, "poisoned")},
        "clean_acc": clean_acc(study, victim, latest),
        "verdict": verdict(study, victim, latest),
        "seconds": NAN if record is None else record.wall_seconds,
        "key": victim.key,
        "error": "" if record is None else record.error,
        **{f"{name}_reported": reported.get(name, NAN) for name in SCORES},
        "shared": shared_gpu(record),
    }


@functools.cache
def _budget(budget: BudgetSpec, train_counts: tuple[int, ...]) -> Mapping[str, Any]:
    return {
        "unclean": budget.unclean,
        "budget": budget.label(),
        "spc": NAN if budget.spc is None else float(budget.spc),
        "n_clean": sum(budget.counts(train_counts)),
    }


def _cell(
    head: dict[str, Any], cell: Cell, record: CellRecord | None, reason: str, defense: str
) -> dict[str, Any]:
    """Return a cell's row; ``reason`` is why it has no record, where that is known."""
    result = None if record is None else record.result
    measured = numbers(result)
    inverse = numbers(result.companions.get("inverse") if result else None)
    if cell.victim.is_clean:
        measured, inverse = (_without_trigger(x, OF_TRIGGER) for x in (measured, inverse))
    triggers = list(result.triggers.values()) if result else []
    return {
        **head,
        "seed": cell.seed,  # an imported victim is defended with each of the study's seeds
        "draw": cell.draw,
        **_budget(cell.budget, cell.victim.data.train_counts),
        "shared": shared_gpu(record),
        "defense": defense,
        "family": cell.defense.info.family,
        "needs": cell.needs,
        **{name: measured.get(name, NAN) for name in MEASURED},
        **{f"{name}_inverse": inverse.get(name, NAN) for name in SCORES},
        "asr_triggers": _mean([scores.asr for scores in triggers]),
        "ra_triggers": _mean([scores.ra for scores in triggers]),
        "victim": cell.victim.key,
        "key": cell.key,
        "error": reason if cell.skip or record is None else record.error,
    }


def shared_gpu(record: CellRecord | VictimRecord | None) -> bool:
    """Tell whether several workers shared the GPU on which a record's seconds were measured."""
    return bool(record and record.environment and record.environment.shares_gpu)


def _without_trigger(measured: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: value for name, value in measured.items() if name not in names}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else NAN
