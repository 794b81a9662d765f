"""Overhead of the harness per cell, without method and evaluation: 100 cells of "none" on digits.

Run by hand: ``python tests/benchmarks/overhead.py``. Prints milliseconds of CPU time, which other
work on the machine does not change: of a worker, all but the evaluation; of the supervisor with its
pipes and progress lines. For appending a record, wall time, which is mostly the disk's.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console

import harness.execution.cell
from harness.data.cache import default_cache
from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.store.store import Store
from harness.study.load import load_study

CELLS = 100


class Timed:
    """A function that adds up the seconds spent in it."""

    def __init__(self, function, clock):
        self.function, self.clock, self.seconds = function, clock, 0.0

    def __call__(self, *args, **more):
        start = self.clock()
        try:
            return self.function(*args, **more)
        finally:
            self.seconds += self.clock() - start


def study(folder: Path, seed: int):
    """Return a study of CELLS cells on one victim."""
    content = {
        "data": ["digits"],
        "models": [{"preactresnet18": {"width": 4}}],
        "recipe": {"fast": {"epochs": 1}},
        "attacks": ["badnets"],
        "defenses": ["none"],
        "budgets": [{"spc": n + 1} for n in range(CELLS)],
        "seeds": [seed],
    }
    path = folder / "overhead.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path, None, default_cache())


def main() -> None:
    """Measure both sides and print them."""
    with tempfile.TemporaryDirectory() as name:
        plan, store = study(Path(name), 0), Store(Path(name) / "store")
        hardware, quiet = HardwareRequest("cpu", workers=1), Console(file=io.StringIO())
        training = Options(Selection(last_stage="victims"), hardware)
        run_study(plan, store, training, quiet)
        store.append = Timed(store.append, time.perf_counter)
        start = time.process_time()
        run_study(plan, store, Options(Selection(), hardware), quiet)
        supervisor = time.process_time() - start
        harness.execution.cell.evaluate = Timed(harness.execution.cell.evaluate, time.process_time)
        start = time.process_time()
        run_study(
            plan,
            store,
            Options(Selection(mode="force", since="9999"), hardware, inline=True),
            quiet,
        )
        worker = time.process_time() - start - harness.execution.cell.evaluate.seconds
    for what, seconds in (
        ("worker", worker),
        ("supervisor", supervisor),
        ("append", store.append.seconds / 2),
    ):
        sys.stdout.write(f"{what}: {1000 * seconds / CELLS:.1f} ms per cell\n")


if __name__ == "__main__":
    main()
