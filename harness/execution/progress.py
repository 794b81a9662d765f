"""What a run shows: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.execution.readable import clock
from harness.execution.schedule import Schedule, Unplanted
from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.store.record import CellRecord, ProbeResult, TaskRecord, VictimRecord

BAR_WIDTH = 30
SHORT = 10
"""Characters of a key that name it."""


class _Running(NamedTuple):
    task: Task
    slot: str
    since: float
    expected_seconds: float


class Progress:
    """Counts the victims and cells that start and finish, and estimates when all are done."""

    def __init__(self, console: Console, schedule: Schedule, workers: Callable[[], int]) -> None:
        self.console = console
        self.schedule = schedule
        self.forecast = schedule.forecast
        self.workers = workers
        victims = schedule.study.victims()
        self._clean = {key for key, victim in victims.items() if victim.is_clean}
        """Keys of the models without a backdoor, of which there is no ASR."""
        self.unplanted = 0
        """How many of the victims that failed the gate have been reported."""
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.running: dict[str, _Running] = {}
        self.began = time.monotonic()
        self.live = Live(
            console=console, get_renderable=self._screen, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Progress:
        totals = ", ".join(f"{kind}s: {total}" for kind, total in self.totals.items())
        time_left = f"  (ETA {clock(self._eta())}, failed 0)"
        self._print(Text(f"to do  {totals}, workers: {self.workers()}{time_left}"))
        self._print(Text(str(self.schedule.demand)))
        if self.console.is_terminal:
            self.live.start()
        return self

    @property
    def totals(self) -> dict[str, int]:
        """How many victims, cells and probes there are to do."""
        totals = {"victim": self.schedule.total_victims, "cell": self.schedule.total_cells}
        probes = self.schedule.total_probes
        return {**totals, "probe": probes} if probes else totals

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def on_start(self, task: Task, slot: Slot) -> None:
        """Count a task that a worker starts as running."""
        expected = self.forecast.expected_seconds(task.subject)
        self.running[task.key] = _Running(task, slot.label, time.monotonic(), expected)

    def on_set_aside(self, task: Task) -> None:
        """Do not count a task as running."""
        self.running.pop(task.key, None)

    def on_finish(self, record: TaskRecord) -> None:
        """Count a record, and print its line, and those of victims that have failed the gate."""
        self.running.pop(record.key, None)
        self.done[record.kind] += 1
        self.failed[record.status] += record.status.failed
        self._print(self._line(record))
        for unplanted in self.schedule.unplanted[self.unplanted :]:
            self._print(Text(f"{unplanted.victim.name}  {explain(unplanted)}", style="yellow"))
        self.unplanted = len(self.schedule.unplanted)

    def on_give_up(self, reason: str) -> None:
        """Say that a device is not used any more."""
        self._print(Text(f"{reason}; its tasks go to the others", style="red"))

    def _print(self, line: Text) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _line(self, record: TaskRecord) -> Text:
        done, total = sum(self.done.values()), sum(self.totals.values())
        kind = "victim  " if isinstance(record, VictimRecord) else ""
        head = f"[{done:{len(str(total))}}/{total}] {kind}{record.name}  "
        if record.status.failed:
            more = f"  (defuse logs {self.schedule.study.typed} {record.key[:SHORT]})"
            return Text(f"{head}{record.status}: {record.error}{more}", style="red")
        result = record.ok_result
        if isinstance(result, ProbeResult):
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in result.numbers.items())
            return Text(f"{head}{numbers}  {record.wall_seconds:.1f} s{self._time_left()}")
        shares = {"ACC": result.acc, "ASR": result.asr, "RA": result.ra}
        if self._victim_key(record) in self._clean:
            del shares["ASR"], shares["RA"]
        scores = "  ".join(f"{name} {100 * share:5.1f}" for name, share in shares.items())
        return Text(f"{head}{scores}  {record.wall_seconds:.1f} s{self._time_left()}")

    def _victim_key(self, record: TaskRecord) -> str:
        return record.spec.victim if isinstance(record, CellRecord) else record.key

    def _time_left(self) -> str:
        """Return the end of a plain line: the estimate; nothing where there is a screen."""
        if self.console.is_terminal:
            return ""
        return f"  (ETA {clock(self._eta())}, failed {self.failed.total()})"

    def _eta(self) -> float:
        """Return the seconds until all is done: what is open, without what has been done of it."""
        now = time.monotonic()
        begun = [min(now - x.since, x.expected_seconds) for x in self.running.values()]
        return max(0.0, self.forecast.remaining_seconds() - sum(begun)) / self.workers()

    def _screen(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for kind, total in self.totals.items():
            if total:
                bar = ProgressBar(total=total, completed=self.done[kind], width=BAR_WIDTH)
                table.add_row(f"{kind}s", bar, f"{self.done[kind]}/{total}")
        slots = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for running in sorted(self.running.values(), key=lambda running: running.slot):
            slots.add_row(*_slot_row(running, now - running.since))
        return Group(table, self._summary(now - self.began), slots)

    def _summary(self, elapsed: float) -> Text:
        rate = 60 * self.done.total() / elapsed if elapsed else 0.0
        failures = (
            ", ".join(f"{n} {status}" for status, n in sorted(self.failed.items()) if n) or "none"
        )
        return Text(
            f"elapsed {clock(elapsed)}   ETA {clock(self._eta())}   "
            f"{rate:.1f} a minute   failed: {failures}"
        )


def explain(unplanted: Unplanted) -> str:
    """Return why a victim's cells are not run, and what to change."""
    return (
        f"not planted: {unplanted.reason}; its {unplanted.cells} cells are not run. "
        f"Try first: {unplanted.remedy}. "
        "'gate: {asr: ...}' in the study sets the gate; 'gate: {run: all}' runs such cells too, "
        "but no mean counts them"
    )


def _slot_row(running: _Running, elapsed: float) -> tuple[Text, ProgressBar | Text, Text, Text]:
    """Return a slot's row: how far its task is, by the seconds that it is expected to take."""
    bar: ProgressBar | Text = Text("")
    if expected := running.expected_seconds:
        bar = ProgressBar(total=expected, completed=min(elapsed, expected), width=10)
    return Text(running.slot, "dim"), bar, Text(clock(elapsed)), Text(running.task.name, "dim")
