"""Estimates task durations from finished tasks: for the order of tasks, and for the time left.

Every task has a cost that is known before anything has run (``costs``). Finished tasks say by which
factor such costs are wrong on this machine: those of the same kind, else of the same method, else
of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import convert, to_builtins

from harness.data.info import DataInfo
from harness.execution.costs import SAMPLE, cell_seconds, probe_seconds, victim_seconds
from harness.plan.keys import canonical
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell, Victim
from harness.store.record import (
    CellRecord,
    CellSpec,
    MethodIdentity,
    ProbeRecord,
    TaskRecord,
    VictimRecord,
    VictimSpec,
)
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.study import Study

ANY = "any"
"""The widest kind: the factor of this machine."""


class Kinds(NamedTuple):
    """What a task is alike, and its cost if nothing is known."""

    names: tuple[str, ...]
    """Descriptions, from the narrowest to the widest."""
    cost: float
    """Seconds, as ``costs`` has them."""


class DurationEstimator:
    """Seconds of finished tasks, and what their costs were, by kind."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, float]] = {}

    def add(self, kinds: Kinds, seconds: float) -> None:
        """Count a finished task."""
        for name in kinds.names:
            total, costs = self._spent.get(name, (0.0, 0.0))
            self._spent[name] = (total + seconds, costs + kinds.cost)

    def estimate(self, kinds: Kinds) -> float:
        """Return the cost, corrected by the narrowest kind that has finished tasks."""
        for name in kinds.names:
            if name in self._spent:
                total, costs = self._spent[name]
                return kinds.cost * total / costs
        return kinds.cost

    def fit(self, latest: LatestRecords, datasets: dict[str, DataInfo]) -> None:
        """Count the finished tasks of a store on known data sets, those of other studies included.

        ``datasets`` are found by their digests.
        """
        for record in latest.sample_ok(SAMPLE):
            if isinstance(record, VictimRecord) and (data := _data_of(record.spec, datasets)):
                self.add(_victim_kinds(record.spec, data), record.wall_seconds)
            elif isinstance(record, CellRecord):
                victim = latest.victim(record.spec.victim)
                if victim is not None and (data := _data_of(victim.spec, datasets)):
                    self.add(_cell_kinds(record.spec, victim.spec, data), record.wall_seconds)
            elif isinstance(record, ProbeRecord):
                victim = latest.victim(record.spec.victim)
                if victim is not None and (data := _data_of(victim.spec, datasets)):
                    kinds = _probe_kinds(record.spec.probe, victim.spec, data)
                    self.add(kinds, own_seconds(record))


class TaskKinds:
    """Finds the kinds of planned victims and cells, once for all cells that are alike."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Hashable, ...], Kinds] = {}

    def of(self, subject: Victim | Cell | ProbeRun) -> Kinds:
        """Return the kinds of a victim's training, of a cell or of a probe."""
        if isinstance(subject, Victim):
            return _victim_kinds(convert(subject.spec, VictimSpec), subject.data)
        victim = subject.victim
        if isinstance(subject, ProbeRun):
            probe = convert(subject.probe.identity, MethodIdentity)
            return _probe_kinds(probe, convert(victim.spec, VictimSpec), victim.data)
        alike = (subject.defense, subject.budget, victim.model, victim.data)
        if alike not in self._cells:
            cell, of_victim = convert(subject.spec, CellSpec), convert(victim.spec, VictimSpec)
            self._cells[alike] = _cell_kinds(cell, of_victim, victim.data)
        return self._cells[alike]


class Forecast:
    """The open victims, cells and probes of a run, and the seconds that they should take."""

    def __init__(self) -> None:
        self._durations = DurationEstimator()
        self._kinds = TaskKinds()
        self._open: Counter[Kinds] = Counter()
        self.repeated: dict[str, Cell] = {}
        """The cells that are run again for a model that open probes need, by their keys."""

    def fit(self, latest: LatestRecords, datasets: Iterable[DataInfo]) -> None:
        """Learn durations from the finished tasks of a store on some data sets."""
        self._durations.fit(latest, {data.digest: data for data in datasets})

    def add(self, subjects: Iterable[Victim | Cell | ProbeRun]) -> None:
        """Add open victims or cells."""
        self._open.update(map(self._kinds.of, subjects))

    def finish(self, subject: Victim | Cell | ProbeRun, seconds: float | None = None) -> None:
        """Remove a victim, cell or probe; learn from its own duration unless it is None."""
        kinds = self._kinds.of(subject)
        self._open[kinds] -= 1
        if isinstance(subject, ProbeRun):
            self.repeated.pop(subject.model_key, None)
        if seconds is not None:
            self._durations.add(kinds, seconds)

    def expected_seconds(self, subject: Victim | Cell | ProbeRun) -> float:
        """Return the expected seconds of a victim, a cell, or a probe and what it repeats."""
        own = self._durations.estimate(self._kinds.of(subject))
        cell = self.repeated.get(subject.model_key) if isinstance(subject, ProbeRun) else None
        return own if cell is None else own + self.expected_seconds(cell)

    def remaining_seconds(self) -> float:
        """Return the seconds that all that is open takes on one worker."""
        own = sum(n * self._durations.estimate(kinds) for kinds, n in self._open.items())
        return own + sum(map(self.expected_seconds, self.repeated.values()))


def forecast_of(
    study: Study, subjects: Iterable[Victim | Cell | ProbeRun], latest: LatestRecords
) -> Forecast:
    """Return the forecast of what is open of a study, from what has finished in a store."""
    forecast = Forecast()
    if to_run := list(subjects):
        forecast.fit(latest, {victim.data for victim in study.victims().values()})
        forecast.add(to_run)
        forecast.repeated = _repeated(to_run, latest)
    return forecast


def own_seconds(record: TaskRecord) -> float:
    """Return the seconds of a finished task, without those of a defense that a probe repeated."""
    if isinstance(record, ProbeRecord) and record.ok_result.repeated:
        return record.ok_result.seconds
    return record.wall_seconds


def _repeated(
    subjects: Sequence[Victim | Cell | ProbeRun], latest: LatestRecords
) -> dict[str, Cell]:
    """Return the finished cells whose models probes need and the store does not keep, by key."""
    open_cells = {subject.key for subject in subjects if isinstance(subject, Cell)}
    cells = {
        subject.cell.key: subject.cell
        for subject in subjects
        if isinstance(subject, ProbeRun) and subject.cell and subject.probe.info.defended
    }
    return {
        key: cell
        for key, cell in cells.items()
        if key not in open_cells
        and (record := latest.cell(key)) is not None
        and not record.status.failed
        and record.ok_result.artifacts.model is None
    }


def _data_of(spec: VictimSpec, datasets: dict[str, DataInfo]) -> DataInfo | None:
    return datasets.get(spec.data["digest"])


def _probe_kinds(probe: MethodIdentity, victim: VictimSpec, data: DataInfo) -> Kinds:
    exact = canonical(to_builtins(["probe", probe, victim.model, victim.data]))
    return Kinds((exact, f"probe {probe.name}", ANY), probe_seconds(probe, victim.model, data))


def _victim_kinds(spec: VictimSpec, data: DataInfo) -> Kinds:
    exact = canonical(to_builtins(["victim", spec.data, spec.model, spec.recipe, spec.attack]))
    alike = canonical(to_builtins(["victim", spec.data, spec.model, spec.recipe]))
    return Kinds((exact, alike, ANY), victim_seconds(spec, data))


def _cell_kinds(spec: CellSpec, victim: VictimSpec, data: DataInfo) -> Kinds:
    exact = canonical(to_builtins([spec.defense, spec.budget, victim.model, victim.data]))
    names = (exact, spec.defense.name, ANY)
    return Kinds(names, cell_seconds(spec, victim.model, data))
