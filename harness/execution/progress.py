"""What a run shows: one live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.execution.schedule import Schedule
from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.store.record_files import Record

BAR = 30


class _Running(NamedTuple):
    task: Task
    slot: str
    since: float
    expected: float | None


class Progress:
    """Counts victims and cells as they start and end, and guesses when all is done."""

    def __init__(self, console: Console, schedule: Schedule, workers: int) -> None:
        self.console = console
        self.schedule = schedule
        self.workers = workers
        self.totals = {"victim": schedule.total_victims, "cell": schedule.total_cells}
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.running: dict[str, _Running] = {}
        self.began = time.monotonic()
        self.live = Live(
            console=console, get_renderable=self._screen, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        else:
            totals = ", ".join(f"{kind}s: {total}" for kind, total in self.totals.items())
            self._print(Text(f"to do  {totals}, workers: {self.workers}{self._left()}"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def started(self, task: Task, slot: Slot) -> None:
        """Note that a worker took a task."""
        expected = self.schedule.expected(task)
        self.running[task.key] = _Running(task, slot.label, time.monotonic(), expected)

    def ended(self, record: Record) -> None:
        """Note that a task ended, and print its line."""
        self.running.pop(record["key"], None)
        self.done[record["kind"]] += 1
        self.failed[record["status"]] += record["status"] != "ok"
        self._print(self._line(record))

    def _print(self, line: Text) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _line(self, record: Record) -> Text:
        done, total = sum(self.done.values()), sum(self.totals.values())
        kind = "victim  " if record["kind"] == "victim" else ""
        head = f"[{done:{len(str(total))}}/{total}] {kind}{record['name']}  "
        if record["status"] != "ok":
            return Text(f"{head}{record['status']}: {record['error']}", style="red")
        scores = "  ".join(
            f"{x.upper()} {100 * record['result'][x]:5.1f}" for x in ("acc", "asr", "ra")
        )
        return Text(f"{head}{scores}  {record['wall_seconds']:.1f} s{self._left()}")

    def _left(self) -> str:
        if self.console.is_terminal:
            return ""
        eta = self._eta()
        return f"  (ETA {clock(eta)}, failed {self.failed.total()})" if eta is not None else ""

    def _eta(self) -> float | None:
        left = self.schedule.left()
        return None if left is None else left / self.workers

    def _screen(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for kind, total in self.totals.items():
            if total:
                bar = ProgressBar(total=total, completed=self.done[kind], width=BAR)
                table.add_row(f"{kind}s", bar, f"{self.done[kind]}/{total}")
        slots = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for running in sorted(self.running.values(), key=lambda running: running.slot):
            slots.add_row(*_slot(running, now - running.since))
        return Group(table, self._summary(now - self.began), slots)

    def _summary(self, elapsed: float) -> Text:
        eta = self._eta()
        rate = 60 * self.done.total() / elapsed if elapsed else 0.0
        failures = (
            ", ".join(f"{n} {status}" for status, n in sorted(self.failed.items()) if n) or "none"
        )
        return Text(
            f"elapsed {clock(elapsed)}   ETA {'...' if eta is None else clock(eta)}   "
            f"{rate:.1f} a minute   failed: {failures}"
        )


def _slot(running: _Running, elapsed: float) -> tuple[Text, ProgressBar | Text, Text, Text]:
    """Return a slot's row: how far its task is, by what such tasks have cost."""
    bar: ProgressBar | Text = Text("")
    if running.expected:
        bar = ProgressBar(
            total=running.expected, completed=min(elapsed, running.expected), width=10
        )
    return Text(running.slot, "dim"), bar, Text(clock(elapsed)), Text(running.task.name, "dim")


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
