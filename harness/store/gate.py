"""Whether a victim counts: did its attack succeed, and at what cost in clean accuracy?"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import TYPE_CHECKING

from harness.plan.names import PlanStatus
from harness.store.record import Status
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.spec import Cell, Victim
    from harness.plan.study import Study

NAN = float("nan")


def clean_acc(study: Study, victim: Victim, latest: LatestRecords) -> float:
    """Return the ACC of the clean model that a victim is compared with; NaN without one."""
    clean = study.clean.get(victim.key)
    record = None if clean is None else latest.victim(clean.key)
    return NAN if record is None or record.result is None else record.result.acc


def gate(study: Study, victim: Victim, latest: LatestRecords) -> bool | float:
    """Tell whether a victim counts in means; NaN if unknown yet."""
    record = latest.victim(victim.key)
    if record is None or record.status.failed:
        return NAN
    reference = clean_acc(study, victim, latest)
    if victim.key in study.clean and math.isnan(reference):
        return NAN
    return _fault(study, victim, latest) is None


def why_not_planted(study: Study, victim: Victim, latest: LatestRecords) -> str | None:
    """Return why a victim is known to have failed the gate, in one line; None otherwise."""
    if gate(study, victim, latest) is not False:
        return None
    return _fault(study, victim, latest)


def _fault(study: Study, victim: Victim, latest: LatestRecords) -> str | None:
    """Return why a finished victim fails the gate; None if it passes."""
    acc, asr, clean = _scores(study, victim, latest)
    return study.gate.fault(acc, asr, victim.data.classes, clean)


def remedy(study: Study, victim: Victim, latest: LatestRecords) -> str:
    """Return what to change first for a victim that failed the gate, and what its scores say."""
    acc, asr, clean = _scores(study, victim, latest)
    halfway = study.gate.learned(victim.data.classes, 0.5)
    if victim.source.imported:
        return "another victim or another gate, as this one is not trained here"
    if asr is None or asr >= study.gate.asr or acc < halfway:
        reached = "" if clean is None else f", the clean model's {100 * clean:.1f} %"
        return f"more epochs, as ACC is only {100 * acc:.1f} %{reached}"
    scores = f"(ACC {100 * acc:.1f} %, ASR {100 * asr:.1f} %)"
    if asr >= study.gate.asr / 2:
        return f"a higher poison rate, as the trigger works on a part of the images {scores}"
    return f"a stronger trigger, as the network has learned the classes alone {scores}"


def _scores(
    study: Study, victim: Victim, latest: LatestRecords
) -> tuple[float, float | None, float | None]:
    """Return a finished victim's ACC, its ASR, and the ACC of its clean model where it has one.

    A clean model has neither of the last two.
    """
    record = latest.victim(victim.key)
    assert record is not None
    reference = clean_acc(study, victim, latest)
    clean = None if math.isnan(reference) else reference
    asr = None if victim.is_clean else record.ok_result.asr
    return record.ok_result.acc, asr, clean


def verdict(study: Study, victim: Victim, latest: LatestRecords) -> str:
    """Return passed, not planted, clean, unknown, or the status of a victim without a model."""
    status = latest.status(victim.key)
    if status is not Status.OK:
        return str(status or PlanStatus.MISSING)
    passed = gate(study, victim, latest)
    if isinstance(passed, float):
        return "unknown"
    if not passed:
        return str(PlanStatus.NOT_PLANTED)
    return "clean" if victim.is_clean else "passed"


def gate_failures(study: Study, latest: LatestRecords) -> dict[str, str]:
    """Return the victims that are known to have failed the gate: why, by key."""
    reasons = ((key, why_not_planted(study, x, latest)) for key, x in study.defended.items())
    return {key: reason for key, reason in reasons if reason is not None}


def unplanted_victims(study: Study, latest: LatestRecords) -> dict[str, str]:
    """Return the victims whose cells are not run, as their attacks failed the gate: why, by key."""
    return {} if study.gate.run == "all" else gate_failures(study, latest)


def subject_status(
    study: Study, subject: Cell | Victim, latest: LatestRecords
) -> tuple[Status | PlanStatus, str]:
    """Return the status of a cell or victim, and the reason where it is not ok; "" without one."""
    if subject.key in latest:
        record = latest[subject.key]
        return record.status, str(getattr(record, "error", ""))
    if subject.key in study.victims():
        return PlanStatus.MISSING, ""
    (cell,) = (cell for cell in study.cells if cell.key == subject.key)
    unplanted = unplanted_victims(study, latest)
    reason = cell.skip or unplanted.get(cell.victim.key, "")
    return cell_status(cell, latest, unplanted), reason


def cell_status(
    cell: Cell, latest: LatestRecords, unplanted: Container[str]
) -> Status | PlanStatus:
    """Return the status of a cell's record, or why it has none.

    ``unplanted``: the keys of the victims whose cells are not run.
    """
    if cell.skip is not None:
        return PlanStatus.SKIP
    if (status := latest.status(cell.key)) is not None:
        return status
    return PlanStatus.NOT_PLANTED if cell.victim.key in unplanted else PlanStatus.MISSING
