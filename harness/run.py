"""Runs a study: what is open, on which workers, told to whom."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.launch.progress import Progress
from harness.launch.schedule import Latest, Mode, Schedule, wanted
from harness.launch.worker import Slot
from harness.plan import Study
from harness.store import Store

FAILED = ("error", "timeout", "crash", "oom")


class Options(NamedTuple):
    """How a study is run; nothing here changes a number (but see ``Slot.threads``)."""

    mode: Mode = "run"
    device: str = "auto"
    workers: int | None = None
    inline: bool = False


class State(NamedTuple):
    """How far a study is."""

    cells: Counter[str]
    """Cells by status; ``missing`` are those without a record."""
    victims: Counter[str]


def store_of(out: Path) -> Store:
    """Return the store below an output folder: all studies there share it."""
    return Store(out / "store")


def state(study: Study, latest: Latest) -> State:
    """Count cells and victims by status."""
    cells = Counter("skip" if cell.skip else _status(cell.key, latest) for cell in study.cells)
    return State(cells, Counter(_status(key, latest) for key in study.victims()))


def _status(key: str, latest: Latest) -> str:
    return str(latest[key]["status"]) if key in latest else "missing"


def run_study(study: Study, store: Store, options: Options, console: Console) -> Latest:
    """Do everything that is open, and return the newest record of every key.

    Raises:
        UserError: no such device; records can't be written.
    """
    latest = store.latest()
    schedule = Schedule(study, latest, options.mode)
    if schedule.total_cells == schedule.total_victims == 0:
        return latest
    slots = slots_for(options)
    with Progress(console, schedule, len(slots)) as progress:
        if options.inline:
            from harness.launch.inline import run_inline as launch
        else:
            from harness.launch.local import run_local as launch
        launch(schedule, store, slots, progress.started, progress.ended)
    return latest


def slots_for(options: Options) -> list[Slot]:
    """Return the workers to start: on CPUs one thread each, one per core; on a GPU one worker."""
    from harness.runtime import device_named

    device = device_named(options.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device.type != "cpu":
        return [Slot(str(device), cores)] * (options.workers or 1)
    workers = options.workers or cores
    return [Slot("cpu", 1)] * workers


def open_keys(study: Study, latest: Latest, mode: Mode) -> set[str]:
    """Return the keys of the cells that a run in this mode would work on."""
    return {cell.key for cell in study.cells if not cell.skip and wanted(cell.key, latest, mode)}
