"""Whether a victim counts: did its attack succeed, and at what cost in clean accuracy?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.plan.names import PlanStatus
from harness.store.record import Status
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.spec import Victim
    from harness.plan.study import Study

NAN = float("nan")


def clean_acc(study: Study, victim: Victim, latest: LatestRecords) -> float:
    """Return the ACC of the clean model that a victim is compared with; NaN without one."""
    clean = study.clean.get(victim.key)
    record = None if clean is None else latest.victim(clean.key)
    return NAN if record is None or record.result is None else record.result.acc


def gate(study: Study, victim: Victim, latest: LatestRecords) -> bool | float:
    """Tell whether a victim counts in means; NaN if unknown yet. A clean model never counts."""
    record = latest.victim(victim.key)
    if record is None or record.status.failed:
        return NAN
    if victim.is_clean:
        return False
    reference = clean_acc(study, victim, latest)
    if victim.key in study.clean and math.isnan(reference):
        return NAN
    clean = None if math.isnan(reference) else reference
    return study.gate.passed(record.ok_result.acc, record.ok_result.asr, clean)


def verdict(study: Study, victim: Victim, latest: LatestRecords) -> str:
    """Return passed, not planted, clean, unknown, or the status of a victim without a model."""
    status = latest.status(victim.key)
    if status is not Status.OK:
        return str(status or PlanStatus.MISSING)
    if victim.is_clean:
        return "clean"
    passed = gate(study, victim, latest)
    return "unknown" if isinstance(passed, float) else "passed" if passed else "not planted"
