"""Follows a study from another terminal or machine, by its store and the SLURM queue alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.execution.demand import demand_of
from harness.execution.durations import forecast_of
from harness.execution.progress import BAR_WIDTH
from harness.execution.readable import clock
from harness.execution.running import RunningTask, running_tasks
from harness.execution.selection import Selection
from harness.execution.slurm_queue import queued_jobs
from harness.execution.study_progress import missing, study_progress
from harness.plan.names import PlanStatus
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell, Victim
from harness.plan.study import Study
from harness.store.record import FAILED, CellRecord, Record, VictimRecord
from harness.store.record_files import LatestRecords
from harness.store.store import Store

INTERVAL = 2.0
"""Seconds between two updates, or ten times what an update takes, if that is more."""
WINDOW = timedelta(minutes=10)
"""The throughput is that of the last ten minutes."""


def follow(study: Study, store: Store, console: Console) -> None:
    """Show how far a study is until every cell has a record; Ctrl-C ends it."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            began = time.monotonic()
            latest = store.latest()
            jobs = queued_jobs(study, store)
            shown = screen(study, latest, jobs, running_tasks(study, store))
            live.update(shown, refresh=True)
            if not console.is_terminal:
                console.print(shown)
            if not missing(study, latest):
                return
            time.sleep(max(INTERVAL, 10 * (time.monotonic() - began)))


def screen(
    study: Study, latest: LatestRecords, jobs: Counter[str], running: Sequence[RunningTask] = ()
) -> Group:
    """Return what is shown: what is done, failures, throughput, ETA, queued jobs, what runs."""
    cells, victims, probes = study_progress(study, latest)
    bars = Table.grid(padding=(0, 2))
    for kind, counts in (("victims", victims), ("cells", cells), ("probes", probes)):
        if not counts:
            continue
        total = counts.total() - counts[PlanStatus.SKIP] - counts[PlanStatus.NOT_PLANTED]
        done = total - counts[PlanStatus.MISSING]
        bar = ProgressBar(total=max(1, total), completed=done, width=BAR_WIDTH)
        bars.add_row(kind, bar, f"{done}/{total}")
    failed = ", ".join(f"{cells[status]} {status}" for status in FAILED if cells[status]) or "none"
    victims_left, cells_left, probes_left = _open_tasks(study, latest)
    forecast = forecast_of(study, [*victims_left, *cells_left, *probes_left], latest)
    throughput = _throughput(study, latest, forecast.remaining_seconds())
    lines = [Text(f"{throughput}   failed: {failed}")]
    if victims_left or cells_left:
        lines.append(Text(str(demand_of([*victims_left, *cells_left], latest))))
    if jobs:
        lines.append(Text("queue: " + ", ".join(f"{n} {name}" for name, n in sorted(jobs.items()))))
    lines += [Text(task.text(), "dim") for task in running]
    return Group(Text(study.name, "bold"), bars, *lines)


def _throughput(study: Study, latest: LatestRecords, left: float) -> str:
    """Return the throughput over the last ten minutes, and the time left at as many workers.

    ``left``: the seconds left on one worker.
    """
    now = datetime.now(UTC)
    start = (now - WINDOW).isoformat()
    planned = [*study.victims(), *(cell.key for cell in study.cells)]
    recent = [key for key in planned if latest.finished(key) >= start]
    cells = sum(latest.kind(key) == "cell" for key in recent)
    rate = 60 * cells / WINDOW.total_seconds()
    workers = _busy_workers([latest[key] for key in recent], now)
    eta = clock(left / workers) if workers else f"... ({clock(left)} on one worker)"
    return f"{rate:.1f} cells a minute over the last {WINDOW.seconds // 60}   ETA {eta}"


def _open_tasks(
    study: Study, latest: LatestRecords
) -> tuple[list[Victim], list[Cell], list[ProbeRun]]:
    """Return the victims, cells and probes that a study still needs."""
    selection = Selection()
    cells = selection.open_cells(study, latest)
    probes = selection.open_probes(study, cells, latest)
    return selection.open_victims(study, [*cells, *probes], latest, lambda _: True), cells, probes


def _busy_workers(recent: Sequence[Record], now: datetime) -> float:
    """Return how many workers were busy on average, by the records of the last ten minutes."""
    spans = [
        (datetime.fromisoformat(record.finished), record.wall_seconds)
        for record in recent
        if isinstance(record, VictimRecord | CellRecord)
    ]
    if not spans:
        return 0.0
    began = min(end - timedelta(seconds=seconds) for end, seconds in spans)
    elapsed = max((now - max(began, now - WINDOW)).total_seconds(), 1e-3)
    return sum(seconds for _, seconds in spans) / elapsed
