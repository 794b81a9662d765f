"""Start-up and bookkeeping: the wall time that passes before any work is done.

The shortest of some runs is taken: other work on the machine only adds to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from click.testing import CliRunner

from harness.cli.main import cli
from tests.benchmarks.side_by_side import Row
from tests.helpers import tiny_study

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from harness.cli.main import main; main()"
WORKER = """
import multiprocessing.connection, sys
from pathlib import Path
from harness.execution.slots import Slot
from harness.execution.worker import serve
from harness.execution.worker_process import WorkerProcess
worker = WorkerProcess(Slot("cpu", 1, "cpu 0"), Path(sys.argv[1]), serve)
worker._start()
while not worker.ready:
    multiprocessing.connection.wait(worker.waitables())
    assert not worker.is_dead(), worker.stop()
    worker.poll()
worker.stop()
"""


def rows(*, tiny=False):
    repeats = 1 if tiny else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finished = (tiny_study.write_study(folder, figures=["curves"]), "--out", folder / "out")
        CliRunner().invoke(cli, ["run", *map(str, finished), "--inline", "--device", "cpu"])
        return [
            _row("defuse list", 0.7, repeats, COMMAND, "list"),
            _row("defuse run, of a finished study", 1, repeats, COMMAND, "run", *finished),
            _row("a worker is ready, its pool's start included", 5, repeats, WORKER, folder),
        ]


def _row(task, most, repeats, code, *arguments):
    return Row(task=task, ours=min(_seconds(code, *arguments) for _ in range(repeats)), most=most)


def _seconds(code, *arguments):
    """Return how long Python code takes in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - start
