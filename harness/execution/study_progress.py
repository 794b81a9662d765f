"""How far a study is: its cells and victims by status."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from harness.plan.names import PlanStatus
from harness.plan.study import Study
from harness.store.record_files import LatestRecords


class StudyProgress(NamedTuple):
    """How far a study is."""

    cells: Counter[str]
    """Cells by status; ``missing``: without a record."""
    victims: Counter[str]
    """Victims by status."""


def study_progress(study: Study, latest: LatestRecords) -> StudyProgress:
    """Count a study's cells and victims by status."""
    cells = Counter[str](
        PlanStatus.SKIP if cell.skip else latest.status(cell.key) or PlanStatus.MISSING
        for cell in study.cells
    )
    victims = Counter[str](latest.status(key) or PlanStatus.MISSING for key in study.victims())
    return StudyProgress(cells, victims)
