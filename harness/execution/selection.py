"""Decides what a run works on: the cells and victims that are open under its mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.store.gate import unplanted_victims
from harness.store.record import Status, VictimRecord
from harness.store.record_files import LatestRecords

if TYPE_CHECKING:
    from harness.plan.probes import ProbeRun
    from harness.plan.spec import Cell, Victim
    from harness.plan.study import Study

Mode = Literal["run", "retry", "force", "read-only"]
Stage = Literal["clean models", "victims", "cells"]
NEVER = "9999"
"""A time after that of every record."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a run works on.

    run: what has no record. retry: failures too. force: everything. read-only: nothing.
    """

    mode: Mode = "run"
    since: str = NEVER
    """When the run was submitted. A record that was finished later is the run's own, and the run,
    resumed, does not make it again."""
    last_stage: Stage = "cells"
    """Where the run ends: with the clean models that other victims need, with all victims, or with
    the cells."""

    def selects(self, key: str, latest: LatestRecords) -> bool:
        """Tell whether a victim or cell is to be run, given the newest records."""
        if self.mode == "read-only" or key not in latest:
            return self.mode != "read-only"
        if self.mode == "run" or latest.finished(key) >= self.since:
            return False
        return self.mode == "force" or latest.status(key) is not Status.OK

    def selects_victim(
        self, key: str, latest: LatestRecords, has_artifacts: Callable[[VictimRecord], bool]
    ) -> bool:
        """Tell whether a victim is to be trained: it is selected, or its saved files are gone."""
        if self.mode == "read-only" or self.selects(key, latest):
            return self.mode != "read-only"
        record = latest.victim(key)
        return record is not None and not record.status.failed and not has_artifacts(record)

    def open_cells(self, study: Study, latest: LatestRecords) -> list[Cell]:
        """Return the cells to run, in the order of the study.

        Not those of a victim that failed the gate, unless the study's gate says so, or the victim
        itself is to be trained again.
        """
        unplanted = self._unplanted(study, latest)
        return [
            cell
            for cell in study.cells
            if cell.skip is None
            and cell.victim.key not in unplanted
            and self.selects(cell.key, latest)
        ]

    def _unplanted(self, study: Study, latest: LatestRecords) -> set[str]:
        """Return the keys of the victims that failed the gate and are not trained again."""
        return {key for key in unplanted_victims(study, latest) if not self.selects(key, latest)}

    def open_probes(
        self, study: Study, cells: Iterable[Cell], latest: LatestRecords
    ) -> list[ProbeRun]:
        """Return the probes to run: of ``cells``, which are to be run, and of those that were."""
        coming = {cell.key for cell in cells}
        unplanted = self._unplanted(study, latest) if study.probe_runs else set()
        return [
            run
            for run in study.probe_runs
            if run.victim.key not in unplanted
            and self.selects(run.key, latest)
            and (run.cell is None or run.cell.key in coming or run.cell.key in latest)
        ]

    def open_victims(
        self,
        study: Study,
        tasks: Iterable[Cell | ProbeRun],
        latest: LatestRecords,
        has_artifacts: Callable[[VictimRecord], bool],
    ) -> list[Victim]:
        """Return the victims to train: those that ``tasks`` need, and the clean models of the gate.

        A victim comes after the clean model that it needs.
        """
        users = [victim for task in tasks for victim in task.victims]
        needed = {x.key for victim in users for x in (victim, victim.clean) if x is not None}
        needed |= {clean.key for clean in study.clean.values()}
        return [
            victim
            for key, victim in study.victims().items()
            if key in needed
            and (victim.is_clean or self.last_stage != "clean models")
            and self.selects_victim(key, latest, has_artifacts)
        ]
