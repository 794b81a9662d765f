"""The numbers of probes: one column of a frame each, and one row per control on a clean model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.contract import Quantity
from harness.report.frame.labels import StudyLabels
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.probes import ProbeRun
    from harness.plan.study import Study


class ProbeColumn(NamedTuple):
    """A number of a probe."""

    name: str
    """The column of the frame: the probe's label and the number's name, ``retune.p_asr``."""
    probe: str
    """The probe's label."""
    quantity: Quantity
    first: bool
    """Whether it is the probe's first number, which boards show."""


def probe_columns(studies: Sequence[Study], labels: StudyLabels) -> list[ProbeColumn]:
    """Return the numbers of all probes of the studies, in their order, each once."""
    columns: dict[str, ProbeColumn] = {}
    for study in studies:
        for probe in study.probes:
            label = labels.of_probe(study, probe)
            for i, (name, quantity) in enumerate(probe.info.numbers.items()):
                column = ProbeColumn(f"{label}.{name}", label, quantity, i == 0)
                columns.setdefault(column.name, column)
    return list(columns.values())


def probe_logs(
    studies: Sequence[Study], latest: LatestRecords, name: str
) -> dict[str, list[dict[str, float]]]:
    """Return what a probe logged on the models of cells, by the cell's key.

    Of several entries of the probe, the first one's; nothing where records have no logs.
    """
    logs: dict[str, list[dict[str, float]]] = {}
    for study in studies:
        for run in study.probe_runs:
            record = latest.probe(run.key) if run.probe.name == name else None
            if run.cell is not None and record is not None and record.scalars:
                logs.setdefault(run.cell.key, record.scalars)
    return logs


class ProbeNumbers:
    """What the probes of a study measured, as columns of a frame."""

    def __init__(self, study: Study, latest: LatestRecords, labels: StudyLabels) -> None:
        self._study, self._latest, self._labels = study, latest, labels
        controls = {
            _control_of(run): self._measured(run) for run in study.probe_runs if run.cell is None
        }
        self.by_cell: dict[str, dict[str, float]] = {}
        """By the cell's key."""
        for run in study.probe_runs:
            if run.cell is not None:
                numbers = self._compared(run, controls.get(_control_of(run)))
                self.by_cell.setdefault(run.cell.key, {}).update(self._columns(run, numbers))

    def controls(self) -> Iterator[tuple[ProbeRun, dict[str, float]]]:
        """Yield the controls and what they measured."""
        for run in self._study.probe_runs:
            if run.cell is None:
                yield run, self._columns(run, self._measured(run) or {})

    def _measured(self, run: ProbeRun) -> dict[str, float] | None:
        record = self._latest.probe(run.key)
        return None if record is None or record.result is None else record.result.numbers

    def _compared(self, run: ProbeRun, control: dict[str, float] | None) -> dict[str, float]:
        """Return a model's numbers, and those that compare them with the clean model's.

        There is no comparison where one of the two lacks a number that it takes, be it undefined
        for that model or later than the record.
        """
        own, compare = self._measured(run), run.probe.info.against_clean
        if own is None or control is None or compare is None:
            return own or {}
        try:
            return own | compare(own, control)
        except KeyError:
            return own

    def _columns(self, run: ProbeRun, numbers: dict[str, float]) -> dict[str, float]:
        label = self._labels.of_probe(self._study, run.probe)
        return {f"{label}.{name}": value for name, value in numbers.items()}


def _control_of(run: ProbeRun) -> tuple[str, int, str]:
    return run.victim.key, run.victim.seed, run.probe.digest
