"""What a run shows: one live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from statistics import mean
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.launch.schedule import Schedule
from harness.launch.task import Task
from harness.store import Record


class Progress:
    """Counts victims and cells as they start and end, and guesses when all is done."""

    def __init__(self, console: Console, schedule: Schedule, workers: int) -> None:
        self.console = console
        self.totals = {"victim": schedule.total_victims, "cell": schedule.total_cells}
        self.done: Counter[str] = Counter()
        self.failed = 0
        self.running: dict[str, tuple[Task, float]] = {}
        self.began = time.monotonic()
        self.cost = Cost(schedule, workers)
        self.live = Live(console=console, get_renderable=self._screen, refresh_per_second=2, transient=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def started(self, task: Task) -> None:
        """Note that a worker took a task."""
        self.running[task.key] = (task, time.monotonic())

    def ended(self, record: Record) -> None:
        """Note that a task ended, and print its line."""
        self.running.pop(record["key"], None)
        self.done[record["kind"]] += 1
        self.failed += record["status"] != "ok"
        self.cost.note(record)
        self.console.print(self._line(record), highlight=False, soft_wrap=True)

    def _line(self, record: Record) -> Text:
        done, total = sum(self.done.values()), sum(self.totals.values())
        kind = "victim  " if record["kind"] == "victim" else ""
        head = f"[{done:{len(str(total))}}/{total}] {kind}{record['name']}  "
        if record["status"] != "ok":
            return Text(f"{head}{record['status']}: {record['error']}", style="red")
        scores = "  ".join(f"{x.upper()} {100 * record['result'][x]:5.1f}" for x in ("acc", "asr", "ra"))
        return Text(f"{head}{scores}  {record['wall_seconds']:.1f} s{self._left()}")

    def _left(self) -> str:
        if self.console.is_terminal:
            return ""
        left = self.cost.left()
        return f"  (ETA {clock(left)}, failed {self.failed})" if left is not None else ""

    def _screen(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for kind, total in self.totals.items():
            if total:
                bar = ProgressBar(total=total, completed=self.done[kind], width=30)
                table.add_row(f"{kind}s", bar, f"{self.done[kind]}/{total}")
        left = self.cost.left()
        now = time.monotonic()
        clocks = f"elapsed {clock(now - self.began)}   ETA {'...' if left is None else clock(left)}"
        status = Text(f"running {len(self.running)}   failed {self.failed}   {clocks}")
        tasks = [Text(f"  {task.name}  {clock(now - since)}", "dim") for task, since in self.running.values()]
        return Group(table, status, *tasks)


class Cost:
    """What is left to do, in seconds, from what tasks of the same kind have cost so far."""

    def __init__(self, schedule: Schedule, workers: int) -> None:
        self.workers = workers
        self.open = schedule.open_work()
        self.spent: dict[str, list[float]] = {}

    def note(self, record: Record) -> None:
        """Learn from an ended task."""
        kind = "victim" if record["kind"] == "victim" else record["spec"]["defense"]["name"]
        self.open[kind] -= 1
        self.spent.setdefault(kind, []).append(record["wall_seconds"])

    def left(self) -> float | None:
        """Return the seconds until all open tasks are done; None before anything has ended."""
        if not self.spent:
            return None
        overall = mean([x for costs in self.spent.values() for x in costs])
        costs = {kind: mean(x) for kind, x in self.spent.items()}
        return sum(n * costs.get(kind, overall) for kind, n in self.open.items()) / self.workers


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
