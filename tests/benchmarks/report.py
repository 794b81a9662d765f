"""Seconds of ``defuse report``: of 5,250 cells, or of 122,400 with ``--large``.

Run by hand: ``python -m tests.benchmarks.report [--large]``. The small study has 20 defenses, 5
attacks, 5 budgets and 10 seeds; the large one 50 defenses, 6 attacks, 5 budgets, 10 seeds, 4 poison
rates and 2 networks, and its records take a minute to make. Prints wall and CPU seconds of the
whole command, those of the processes that draw figures included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.helpers.synthetic_store import fabricate

SMALL: dict[str, Any] = {
    "defenses": 20,
    "attacks": 5,
    "spcs": (2, 5, 10, 20, 50),
    "seeds": range(10),
}
LARGE = SMALL | {
    "defenses": 50,
    "attacks": 6,
    "rates": (0.01, 0.02, 0.05, 0.1),
    "widths": (8, 16),
}


def main() -> None:
    """Make the records, report them, and print what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan, _ = fabricate(folder, **(LARGE if "--large" in sys.argv[1:] else SMALL))
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
