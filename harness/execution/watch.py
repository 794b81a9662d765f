"""How far a study is, from another terminal or another machine: read from the store and the queue alone."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.execution.progress import BAR, clock
from harness.execution.run import FAILED, state
from harness.execution.slurm import queue
from harness.plan.spec import Study
from harness.store.record_files import LatestRecords
from harness.store.store import Store

EVERY = 2.0
"""Seconds between two looks, or ten times what a look takes, if that is more."""
WINDOW = timedelta(minutes=10)
"""What the rate is taken over."""


def follow(study: Study, store: Store, console: Console) -> None:
    """Show the state of a study until every cell has a record; Ctrl-C ends it."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            began = time.monotonic()
            latest = store.latest()
            jobs = queue(study, store)
            live.update(screen(study, latest, jobs), refresh=True)
            if not console.is_terminal:
                console.print(screen(study, latest, jobs))
            if not state(study, latest).cells["missing"]:
                return
            time.sleep(max(EVERY, 10 * (time.monotonic() - began)))


def screen(study: Study, latest: LatestRecords, jobs: Counter[str]) -> Group:
    """Return one look: victims and cells done, failures, rate, time to go, and jobs in the queue."""
    cells, victims = state(study, latest)
    bars = Table.grid(padding=(0, 2))
    for kind, counts in (("victims", victims), ("cells", cells)):
        total = counts.total() - counts["skip"]
        done = total - counts["missing"]
        bars.add_row(
            kind, ProgressBar(total=max(1, total), completed=done, width=BAR), f"{done}/{total}"
        )
    failed = ", ".join(f"{cells[status]} {status}" for status in FAILED if cells[status]) or "none"
    lines = [Text(f"{_pace(study, latest, cells['missing'])}   failed: {failed}")]
    if jobs:
        lines.append(Text("queue: " + ", ".join(f"{n} {name}" for name, n in sorted(jobs.items()))))
    return Group(Text(study.name, "bold"), bars, *lines)


def _pace(study: Study, latest: LatestRecords, missing: int) -> str:
    """Return how many cells a minute were done of late, and how long the missing ones take at that pace."""
    start = (datetime.now(UTC) - WINDOW).isoformat()
    recent = sum(latest.finished(cell.key) >= start for cell in study.cells)
    rate = recent / WINDOW.total_seconds()
    eta = clock(missing / rate) if rate else "..."
    return f"{60 * rate:.1f} cells a minute over the last {WINDOW.seconds // 60}   ETA {eta}"
