"""Whether a victim counts: did its attack succeed, and at what cost in clean accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.plan.spec import Study, Victim
from harness.store.record_files import Record

NAN = float("nan")


def clean_acc(study: Study, victim: Victim, latest: Mapping[str, Record]) -> float:
    """Return the ACC of the clean model that a victim is held against; NaN without one."""
    clean = study.clean.get(victim.key)
    result = {} if clean is None else latest.get(clean.key, {}).get("result", {})
    return float(result.get("acc", NAN))


def gate(study: Study, victim: Victim, latest: Mapping[str, Record]) -> bool | float:
    """Tell whether a victim counts in averages; NaN while that is unknown. A clean model never does."""
    record = latest.get(victim.key, {})
    if record.get("status") != "ok":
        return NAN
    if victim.is_clean:
        return False
    reference = clean_acc(study, victim, latest)
    if victim.key in study.clean and math.isnan(reference):
        return NAN
    known = None if math.isnan(reference) else reference
    return study.gate.passed(record["result"]["acc"], record["result"]["asr"], known)


def verdict(study: Study, victim: Victim, latest: Mapping[str, Record]) -> str:
    """Return the gate in a word: passed, not planted, clean, unknown, or why there is no victim."""
    status = latest.get(victim.key, {}).get("status", "missing")
    if status != "ok":
        return str(status)
    if victim.is_clean:
        return "clean"
    passed = gate(study, victim, latest)
    return "unknown" if isinstance(passed, float) else "passed" if passed else "not planted"
