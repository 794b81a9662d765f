"""Twenty runs of the study of failing defenses whose supervisor is killed at random moments.

Run by hand: ``python tests/benchmarks/kill_runs.py [TIMES [KILLS [SECONDS]]]``. Each run must end
with one status for every cell, the expected one, and with the numbers of an undisturbed run; the
first that does not ends the script with an AssertionError.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers import failing_defenses


def main() -> None:
    """Compare every disturbed run with an undisturbed one."""
    given = [int(argument) for argument in sys.argv[1:]]
    times, kills, longest = given + [20, 3, 12][len(given) :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "good").mkdir()
        expected, seconds = failing_defenses.undisturbed(folder / "good")
        study = failing_defenses.study(folder, timeout=seconds)
        for seed in range(times):
            start, out = time.monotonic(), folder / str(seed)
            failing_defenses.disturbed(study, out, seed, kills, longest)
            assert failing_defenses.statuses(out) == failing_defenses.EXPECTED
            assert failing_defenses.results(out) == expected
            sys.stdout.write(f"seed {seed}: as expected, {time.monotonic() - start:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
