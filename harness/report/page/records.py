"""The page's records: what each cell was asked to do and what it logged, thinned to what a chart shows."""

from __future__ import annotations

from typing import Any

from harness.plan.keys import canonical
from harness.report.frame.report_data import ReportData, has_details
from harness.store.record_files import Record

POINTS = 60
"""Of a log, so many evenly spread entries are drawn."""


def record_details(source: ReportData) -> dict[str, Any]:
    """Return the records of all cells and victims by key; what many share is kept once and pointed to.

    ``specs`` and ``environments`` are lists; a record has the index of its own. Of a very
    large study there is nothing.
    """
    if not has_details(source.studies):
        return {"specs": [], "environments": [], "records": {}}
    specs, environments = _Interner(), _Interner()
    records: dict[str, Any] = {}
    for study in source.studies:
        for cell in study.cells:
            victim = cell.victim
            defense = specs.index({"defense": cell.defense.identity, "budget": cell.budget.label()})
            records.setdefault(victim.key, {"spec": specs.index(victim.spec), "seed": victim.seed})
            records.setdefault(cell.key, {"spec": defense, "victim": victim.key, "seed": cell.seed})
            records[cell.key]["skip"] = cell.skip
    for key, about in records.items():
        if record := source.records.get(key):
            about.update(
                _told(record), environment=environments.index(record.get("environment", {}))
            )
    return {"specs": specs.values, "environments": environments.values, "records": records}


class _Interner:
    """Values, each kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def index(self, value: Any) -> int:
        """Return the place of a value, which is added when it is new."""
        text = canonical(value)
        if text not in self._places:
            self._places[text] = len(self.values)
            self.values.append(value)
        return self._places[text]


def _told(record: Record) -> dict[str, Any]:
    result = record.get("result", {})
    scores = {name: value for name, value in result.items() if isinstance(value, int | float)}
    told = {
        "name": record["name"],
        "status": record["status"],
        "finished": record["finished"],
        "wall": round(record["wall_seconds"], 2),
        "scores": {name: float(f"{value:.6g}") for name, value in scores.items()},
        "companions": result.get("companions", {}),
        "scalars": _series(record.get("scalars", [])),
        "error": record.get("error", ""),
        "traceback": record.get("traceback", ""),
    }
    return {name: value for name, value in told.items() if value not in ("", {}, None)}


def _series(scalars: list[dict[str, float]]) -> dict[str, list[float | None]]:
    """Return evenly spread entries of the log by name, the last one among them."""
    stride = max(1, -(-len(scalars) // POINTS))
    kept = scalars[::-1][::stride][::-1]
    names = list(dict.fromkeys(name for row in kept for name in row))
    return {name: [_short(row.get(name)) for row in kept] for name in names}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
