"""Estimates task durations from finished tasks: for the order of tasks, and for the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from msgspec import convert, to_builtins

from harness.plan.keys import canonical
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell, Victim
from harness.store.record import (
    CellRecord,
    CellSpec,
    MethodIdentity,
    ProbeRecord,
    Status,
    VictimRecord,
    VictimSpec,
)
from harness.store.record_files import LatestRecords

SAMPLE = 20_000
"""The most records that are read: of a larger store, a sample at even distances."""
Kinds = tuple[str, ...]
"""Descriptions of a task, from the narrowest to the widest."""


class DurationEstimator:
    """Mean seconds of finished tasks by kind."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, int]] = {}

    def add(self, kinds: Kinds, seconds: float) -> None:
        """Count a finished task."""
        for kind in kinds:
            total, count = self._spent.get(kind, (0.0, 0))
            self._spent[kind] = (total + seconds, count + 1)

    def estimate(self, kinds: Kinds) -> float | None:
        """Return the mean of the narrowest kind that has finished tasks; None if none has."""
        for kind in kinds:
            if kind in self._spent:
                total, count = self._spent[kind]
                return total / count
        return None

    def sort_cost(self, kinds: Kinds) -> float:
        """Return the estimate as a sort key: 1 s where nothing is known."""
        seconds = self.estimate(kinds)
        return 1.0 if seconds is None else seconds

    def fit(self, latest: LatestRecords) -> None:
        """Count the finished tasks of a store, those of other studies included."""
        ok = [key for key in latest if latest.status(key) is Status.OK]
        for key in ok[:: -(-len(ok) // SAMPLE) or 1]:
            record = latest[key]
            if isinstance(record, VictimRecord):
                self.add(_victim_kinds(record.spec), record.wall_seconds)
            elif isinstance(record, CellRecord):
                victim = latest.victim(record.spec.victim)
                if victim is not None:
                    self.add(_cell_kinds(record.spec, victim.spec), record.wall_seconds)
            elif isinstance(record, ProbeRecord):
                victim = latest.victim(record.spec.victim)
                if victim is not None:
                    self.add(_probe_kinds(record.spec.probe, victim.spec), record.wall_seconds)


class TaskKinds:
    """Finds the kinds of planned victims and cells, once for all cells that are alike."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Hashable, ...], Kinds] = {}

    def of(self, subject: Victim | Cell | ProbeRun) -> Kinds:
        """Return the kinds of a victim's training, of a cell or of a probe."""
        if isinstance(subject, Victim):
            return _victim_kinds(convert(subject.spec, VictimSpec))
        victim = subject.victim
        if isinstance(subject, ProbeRun):
            probe = convert(subject.probe.identity, MethodIdentity)
            return _probe_kinds(probe, convert(victim.spec, VictimSpec))
        alike = (subject.defense, subject.budget, victim.model, victim.data)
        if alike not in self._cells:
            cell, of_victim = convert(subject.spec, CellSpec), convert(victim.spec, VictimSpec)
            self._cells[alike] = _cell_kinds(cell, of_victim)
        return self._cells[alike]


class Forecast:
    """The open victims, cells and probes of a run, and the seconds that they should take."""

    def __init__(self) -> None:
        self._durations = DurationEstimator()
        self._kinds = TaskKinds()
        self._open: Counter[Kinds] = Counter()

    def fit(self, latest: LatestRecords) -> None:
        """Learn durations from the finished tasks of a store."""
        self._durations.fit(latest)

    def add(self, subjects: Iterable[Victim | Cell | ProbeRun]) -> None:
        """Add open victims or cells."""
        self._open.update(map(self._kinds.of, subjects))

    def finish(self, subject: Victim | Cell | ProbeRun, seconds: float | None = None) -> None:
        """Remove a victim or cell; learn from its duration unless it is None."""
        kinds = self._kinds.of(subject)
        self._open[kinds] -= 1
        if seconds is not None:
            self._durations.add(kinds, seconds)

    def sort_cost(self, subject: Victim | Cell | ProbeRun) -> float:
        """Return the expected seconds as a sort key: 1 s where nothing is known."""
        return self._durations.sort_cost(self._kinds.of(subject))

    def expected_seconds(self, subject: Victim | Cell | ProbeRun) -> float | None:
        """Return the expected seconds of a victim or cell; None if nothing is known."""
        return self._durations.estimate(self._kinds.of(subject))

    def remaining_seconds(self) -> float | None:
        """Return the seconds that all that is open takes on one worker; None if nothing is known.

        A kind without an estimate counts as much as the others do on average.
        """
        estimates = {kinds: self._durations.estimate(kinds) for kinds in self._open}
        known = [seconds for seconds in estimates.values() if seconds is not None]
        if not known:
            return None
        mean = sum(known) / len(known)
        return sum(
            n * (mean if estimates[kinds] is None else estimates[kinds] or 0.0)
            for kinds, n in self._open.items()
        )


def _victim_kinds(spec: VictimSpec) -> Kinds:
    return (canonical(to_builtins(["victim", spec.data, spec.model, spec.recipe])), "victim")


def _probe_kinds(probe: MethodIdentity, victim: VictimSpec) -> Kinds:
    exact = canonical(to_builtins(["probe", probe, victim.model, victim.data]))
    return (exact, f"probe {probe.name}", "probe")


def _cell_kinds(spec: CellSpec, victim: VictimSpec) -> Kinds:
    exact = canonical(to_builtins([spec.defense, spec.budget, victim.model, victim.data]))
    return (exact, spec.defense.name, "cell")
