"""What tasks have cost so far, in seconds: the longest are started first, and the end is foreseen."""

from __future__ import annotations

from typing import Any

from harness.plan.keys import canonical
from harness.plan.spec import Cell, Victim
from harness.store.record_files import LatestRecords

SAMPLE = 20_000
"""Of a large store, this many records, evenly spread, are learned from."""
Kinds = tuple[str, ...]
"""What a task is like: the narrowest description first, the widest last."""


class DurationEstimator:
    """Mean seconds of ended tasks by kind."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, int]] = {}

    def note(self, kinds: Kinds, seconds: float) -> None:
        """Learn from an ended task."""
        for kind in kinds:
            total, count = self._spent.get(kind, (0.0, 0))
            self._spent[kind] = (total + seconds, count + 1)

    def of(self, kinds: Kinds) -> float | None:
        """Return what a task of these kinds costs, by the narrowest kind that is known; None for none."""
        for kind in kinds:
            if kind in self._spent:
                total, count = self._spent[kind]
                return total / count
        return None

    def rank(self, kinds: Kinds) -> float:
        """Return a task's cost, to sort by; an unknown one counts 1 s."""
        cost = self.of(kinds)
        return 1.0 if cost is None else cost

    def learn(self, latest: LatestRecords) -> None:
        """Learn from the finished tasks of a store, of whatever study."""
        ok = [key for key in latest if latest.status(key) == "ok"]
        victims: dict[str, dict[str, Any]] = {}
        for key in ok[:: -(-len(ok) // SAMPLE) or 1]:
            record = latest[key]
            spec = record["spec"]
            if record["kind"] == "victim":
                self.note(_victim_kinds(spec), record["wall_seconds"])
            elif record["kind"] == "cell" and (
                spec["victim"] in victims or spec["victim"] in latest
            ):
                name = spec["victim"]
                victim = victims.get(name) or victims.setdefault(name, latest[name]["spec"])
                self.note(_cell_kinds(spec, victim), record["wall_seconds"])


class TaskKinds:
    """Finds the kinds of planned tasks, once for all cells that are alike."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Kinds] = {}

    def victim(self, victim: Victim) -> Kinds:
        """Return the kinds of a victim's training: by data set, model and recipe."""
        return _victim_kinds(victim.spec)

    def cell(self, cell: Cell) -> Kinds:
        """Return the kinds of a cell: by defense, budget, model and data set."""
        alike = (id(cell.defense), id(cell.budget), id(cell.victim.model), id(cell.victim.data))
        if alike not in self._known:
            self._known[alike] = _cell_kinds(cell.spec, cell.victim.spec)
        return self._known[alike]


def _victim_kinds(spec: dict[str, Any]) -> Kinds:
    return (canonical(["victim", spec["data"], spec["model"], spec["recipe"]]), "victim")


def _cell_kinds(spec: dict[str, Any], victim: dict[str, Any]) -> Kinds:
    defense = spec["defense"]
    exact = canonical([defense, spec["budget"], victim["model"], victim["data"]])
    return (exact, defense["name"], "cell")
