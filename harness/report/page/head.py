"""The head of the page: how many cells there are, and what made the numbers."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

from harness.report.frame.report_data import ReportData, has_details
from harness.store.record import CellRecord

CLONE = Path(__file__).parents[3]
MOST_READ = 200
"""The most records that are read for the hardware, evenly spread."""


def state(report: ReportData) -> str:
    """Return how many cells and victims there are, by status, and how many failed the gate."""
    frame = report.frame
    counts = frame["status"].value_counts().sort_index()
    statuses = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
    n_victims = frame["victim"].nunique()
    n_failed = frame.loc[frame["gate"].eq(False), "victim"].nunique()
    failed = f"; {n_failed} of {n_victims} victims failed the gate" if n_failed else ""
    text = f"{len(frame)} cells on {n_victims} victims: {statuses}{failed}"
    if has_details(report.studies):
        return text
    return f"{text}; the record of a single one: defuse show STUDY CELL"


def origin(report: ReportData) -> str:
    """Return the version of the program, when the records were made, and on what."""
    planned = set[str]().union(*(study.keys() for study in report.studies))
    keys = sorted(planned & set(report.records))
    made = [report.records.finished(key)[:10] for key in keys]
    days = list(dict.fromkeys((min(made), max(made)))) if made else []
    when = [f"records of {' to '.join(days)}"] if days else []
    program = f"Defuse {version('defuse-bench')}{_commit()}"
    return "; ".join([program, *when, *_machines(report, keys)])


def _commit() -> str:
    """Return at which commit the program is, if it runs in its own clone; else nothing."""
    if not (CLONE / ".git").exists():
        return ""
    command = ["git", "-C", str(CLONE), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f" at {done.stdout.strip()}" if done.returncode == 0 else ""


def _machines(report: ReportData, keys: list[str]) -> list[str]:
    """Return the hardware and the version of PyTorch of some records, each combination once."""
    found = dict[str, None]()
    for key in keys[:: -(-len(keys) // MOST_READ) or 1]:
        record = report.records[key]
        if isinstance(record, CellRecord) and record.environment is not None:
            found[f"{record.environment.hardware}, PyTorch {record.environment.torch}"] = None
    return sorted(found)
