"""The page's records: each cell's spec, result and log, thinned to what a chart can show."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from harness.plan.keys import canonical
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
    for study in report.studies:
        for cell in study.cells:
            victim = cell.victim
            defense = specs.index({"defense": cell.defense.identity, "budget": cell.budget.label()})
            records.setdefault(victim.key, {"spec": specs.index(victim.spec), "seed": victim.seed})
            records.setdefault(cell.key, {"spec": defense, "victim": victim.key, "seed": cell.seed})
            records[cell.key]["skip"] = cell.skip
    for key, details in records.items():
        record = report.records.get(key)
        if isinstance(record, VictimRecord | CellRecord):
            environment = {} if record.environment is None else to_builtins(record.environment)
            details.update(_details(record), environment=environments.index(environment))
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


def _details(record: TaskRecord) -> dict[str, Any]:
    companions = record.result.companions if isinstance(record.result, CellResult) else {}
    details = {
        "name": record.name,
        "status": record.status,
        "finished": record.finished,
        "wall": round(record.wall_seconds, 2),
        "scores": {name: float(f"{value:.6g}") for name, value in numbers(record.result).items()},
        "companions": to_builtins(companions),
        "scalars": _series(record.scalars),
        "error": record.error,
        "traceback": record.traceback,
    }
    return {name: value for name, value in details.items() if value not in ("", {}, None)}


def _series(scalars: list[dict[str, float]]) -> dict[str, list[float | None]]:
    """Return evenly spread entries of the log by name, the last one among them."""
    stride = max(1, -(-len(scalars) // MAX_POINTS))
    entries = scalars[::-1][::stride][::-1]
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return {name: [_rounded(entry.get(name)) for entry in entries] for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
