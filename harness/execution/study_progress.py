"""How far a study is: its cells, victims and probes by status."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from harness.plan.names import PlanStatus
from harness.plan.study import Study
from harness.store.gate import cell_status, unplanted_victims
from harness.store.record_files import LatestRecords


class StudyProgress(NamedTuple):
    """How far a study is."""

    cells: Counter[str]
    """Cells by status; ``missing``: yet to run."""
    victims: Counter[str]
    """Victims by status."""
    probes: Counter[str]
    """Probes by status; empty in a study without."""


def missing(study: Study, latest: LatestRecords) -> int:
    """Return how many cells and probes have yet to run."""
    progress = study_progress(study, latest)
    return progress.cells[PlanStatus.MISSING] + progress.probes[PlanStatus.MISSING]


def study_progress(study: Study, latest: LatestRecords) -> StudyProgress:
    """Count a study's cells, victims and probes by status."""
    unplanted = unplanted_victims(study, latest)
    cells = Counter[str](cell_status(cell, latest, unplanted) for cell in study.cells)
    victims = Counter[str](latest.status(key) or PlanStatus.MISSING for key in study.victims())
    absent = dict.fromkeys(unplanted, PlanStatus.NOT_PLANTED)
    probes = Counter[str](
        latest.status(run.key) or absent.get(run.victim.key, PlanStatus.MISSING)
        for run in study.probe_runs
    )
    return StudyProgress(cells, victims, probes)
