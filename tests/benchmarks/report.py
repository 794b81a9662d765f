"""Seconds of ``defuse report`` on 5,250 cells: 20 defenses, 5 attacks, 5 budgets, 10 seeds.

Run by hand: ``python -m tests.benchmarks.report``. Prints wall and CPU seconds of the whole
command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.synthetic_store import fabricate


def main() -> None:
    """Make the records, report them, and print what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan, _ = fabricate(
            folder, defenses=20, attacks=5, spcs=(2, 5, 10, 20, 50), seeds=range(10)
        )
        code = "from harness.cli.main import main; main()"
        command = [sys.executable, "-c", code, "report", plan.path, "--out", str(folder / "out")]
        wall, begun = time.perf_counter(), os.times()
        subprocess.run(command, capture_output=True, check=False)
        wall, ended = time.perf_counter() - wall, os.times()
    spent = (
        ended.children_user + ended.children_system - begun.children_user - begun.children_system
    )
    sys.stdout.write(f"{len(plan.cells)} cells: {wall:.1f} s wall, {spent:.1f} s CPU\n")


if __name__ == "__main__":
    main()
