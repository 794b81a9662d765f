"""How far a study is: its cells and victims by status."""

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


def study_progress(study: Study, latest: LatestRecords) -> StudyProgress:
    """Count a study's cells and victims by status."""
    unplanted = unplanted_victims(study, latest)
    cells = Counter[str](cell_status(cell, latest, unplanted) for cell in study.cells)
    victims = Counter[str](latest.status(key) or PlanStatus.MISSING for key in study.victims())
    return StudyProgress(cells, victims)
