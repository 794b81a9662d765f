"""Runs a study: what is open, on which slots, told to whom."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.execution.progress import Progress
from harness.execution.schedule import Schedule, Selection
from harness.execution.slots import HardwareRequest, slots_for
from harness.plan.spec import Study
from harness.store.record_files import LatestRecords
from harness.store.store import Store

FAILED = ("error", "timeout", "crash", "oom")


class Options(NamedTuple):
    """How a study is run; nothing here changes a number."""

    wish: Selection = Selection()
    hardware: HardwareRequest = HardwareRequest()
    inline: bool = False


class StudyProgress(NamedTuple):
    """How far a study is."""

    cells: Counter[str]
    """Cells by status; ``missing`` are those without a record."""
    victims: Counter[str]


def store_of(out: Path) -> Store:
    """Return the store below an output folder: all studies there share it."""
    return Store(out / "store")


def state(study: Study, latest: LatestRecords) -> StudyProgress:
    """Count cells and victims by status."""
    cells = Counter("skip" if cell.skip else latest.status(cell.key) for cell in study.cells)
    return StudyProgress(cells, Counter(latest.status(key) for key in study.victims()))


def run_study(study: Study, store: Store, options: Options, console: Console) -> LatestRecords:
    """Do everything that is wished for and open, and return the newest record of every key.

    Raises:
        UserError: no such device; records can't be written.
        Interrupted: by Ctrl-C or SIGTERM; what is finished is kept.
    """
    latest = store.latest()
    schedule = Schedule(study, latest, options.wish, store.holds)
    tasks = schedule.total_victims + schedule.total_cells
    if tasks == 0:
        return latest
    slots = slots_for(options.hardware, study, latest)[:tasks]
    with Progress(console, schedule, len(slots)) as progress:
        if options.inline:
            from harness.execution.inline import run_inline as launch
        else:
            from harness.execution.pool import run_local as launch
        launch(schedule, store, slots, progress.started, progress.ended)
    return latest


def open_keys(study: Study, latest: LatestRecords, wish: Selection) -> set[str]:
    """Return the keys of the cells that a run with this wish would work on."""
    return {cell.key for cell in study.cells if not cell.skip and wish.wants(cell.key, latest)}
