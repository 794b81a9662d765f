"""The page's records: each cell's spec, result and log, thinned to what a chart can show."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from msgspec import to_builtins

from harness.plan.keys import canonical
from harness.report.frame.metric_info import OF_TRIGGER
from harness.report.frame.report_data import ReportData, has_details
from harness.store.record import CellRecord, CellResult, TaskRecord, VictimRecord, numbers

MAX_POINTS = 60
"""The most entries of a log that are drawn, evenly spread."""


def record_details(report: ReportData) -> dict[str, Any]:
    """Return the records of all cells and victims by key; nothing for a very large study.

    Shared values are stored once, in the lists ``specs`` and ``environments``; a record has the
    index of its own.
    """
    if not has_details(report.studies):
        return {"specs": [], "environments": [], "records": {}}
    specs, environments = _Interner(), _Interner()
    records: dict[str, Any] = {}
    clean: set[str] = set()
    for study in report.studies:
        for cell in study.cells:
            victim = cell.victim
            defense = specs.index({"defense": cell.defense.identity, "budget": cell.budget.label()})
            records.setdefault(victim.key, {"spec": specs.index(victim.spec), "seed": victim.seed})
            records.setdefault(cell.key, {"spec": defense, "victim": victim.key, "seed": cell.seed})
            records[cell.key]["skip"] = cell.skip
            if victim.is_clean:
                clean |= {victim.key, cell.key}
    for key, details in records.items():
        record = report.records.get(key)
        if isinstance(record, VictimRecord | CellRecord):
            environment = {} if record.environment is None else to_builtins(record.environment)
            hidden = OF_TRIGGER if key in clean else ()
            details.update(_details(record, hidden), environment=environments.index(environment))
    return {"specs": specs.values, "environments": environments.values, "records": records}


class _Interner:
    """Values, each kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._indices: dict[str, int] = {}

    def index(self, value: Any) -> int:
        """Return the index of a value, which is added when it is new."""
        text = canonical(value)
        if text not in self._indices:
            self._indices[text] = len(self.values)
            self.values.append(value)
        return self._indices[text]


def _details(record: TaskRecord, hidden: Container[str]) -> dict[str, Any]:
    """Return what the page tells of a record, without the scores that are to be ``hidden``."""
    companions = record.result.companions if isinstance(record.result, CellResult) else {}
    details = {
        "name": record.name,
        "status": record.status,
        "finished": record.finished,
        "wall": round(record.wall_seconds, 2),
        "scores": _shown(numbers(record.result), hidden),
        "companions": {name: _shown(numbers(other), hidden) for name, other in companions.items()},
        "scalars": _series(record.scalars),
        "error": record.error,
        "traceback": record.traceback,
    }
    return {name: value for name, value in details.items() if value not in ("", {}, None)}


def _shown(scores: dict[str, float], hidden: Container[str]) -> dict[str, float]:
    return {name: float(f"{x:.6g}") for name, x in scores.items() if name not in hidden}


def _series(scalars: list[dict[str, float]]) -> dict[str, list[float | None]]:
    """Return evenly spread entries of the log by name, the last one among them."""
    stride = max(1, -(-len(scalars) // MAX_POINTS))
    entries = scalars[::-1][::stride][::-1]
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return {name: [_rounded(entry.get(name)) for entry in entries] for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
