"""Kills with SIGKILL in a row: supervisor, its group, a worker, the process of an own defense.

Run by hand: ``python -m tests.benchmarks.kills [TIMES]``. A run is started as often as it was
killed or has ended; whenever all cells are there, they must equal those of an undisturbed run, with
nothing left of any process, and the next kill meets a new store. The first that does not ends the
script with an AssertionError.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.helpers import failing_defenses

LIMIT = 300.0
"""Seconds in which a process to be killed must appear, and in which killed ones must be gone."""
OWN = '''"""Tunes, for tests."""
from dataclasses import dataclass
from harness.contract import Recipe, defense
from harness.toolbox import fit

@dataclass(frozen=True, kw_only=True)
class Hyper:
    epochs: int = 20

@defense(paper="", year=0, family="control")
def tunes(model, budget, hyper, ctx):
    samples = (budget.images, budget.labels)
    return fit(model, samples, Recipe(epochs=hyper.epochs), budget.augment, ctx)
'''


def study(folder: Path) -> Path:
    """Write an own defense, and a study in which most time is spent in it."""
    (folder / "tunes.py").write_text(OWN)
    path = failing_defenses.study(folder, bad=())
    own = [{"tunes.py": {"epochs": epochs}} for epochs in range(40, 46)]
    content = yaml.safe_load(path.read_text())
    content["defenses"] += own
    path.write_text(yaml.safe_dump(content))
    return path


def processes(mark: str, supervisor: int) -> dict[str, list[int]]:
    """Return the marked processes by what they are."""
    found: dict[str, list[int]] = {"worker": [], "own": [], "supervisor": [], "other": []}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() not in (folder / "environ").read_bytes():
                continue
            cwd, pid = str((folder / "cwd").readlink()), int(folder.name)
            leads = os.getsid(pid) == pid
        except OSError:  # it has ended
            continue
        kind = "worker" if leads else "other"
        kind = "own" if leads and cwd.startswith(f"{tempfile.gettempdir()}/defuse-") else kind
        found["supervisor" if pid == supervisor else kind].append(pid)
    return found


def until(met: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + LIMIT
    while not met():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Run:
    """A run of the study on one store, killed and started again."""

    def __init__(self, path: Path, out: Path) -> None:
        self.path, self.out, self.mark = path, out, f"{out.name}-{os.getpid()}-{time.time_ns()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is None or self.process.poll() is not None:
            command = failing_defenses.command(
                *("run", self.path, "--out", self.out, "--device", "cpu", "--workers", 2),
                *("--mode", "retry"),
            )
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            environment = failing_defenses.environment(**{failing_defenses.MARK: self.mark})
            self.process = subprocess.Popen(
                command, env=environment, start_new_session=True, **quiet
            )

    def found(self) -> dict[str, list[int]]:
        """Return its processes."""
        assert self.process is not None
        return processes(self.mark, self.process.pid)

    def kill(self, kind: str, chance: random.Random) -> bool:
        """Kill one kind of process; tell whether there was one before the run had ended."""
        self.start()
        assert self.process is not None
        wanted = "worker" if kind in {"group", "supervisor"} else kind
        process = self.process
        until(lambda: bool(self.found()[wanted]) or process.poll() is not None, f"no {kind}")
        time.sleep(chance.uniform(0, 2))
        targets = self.found()[wanted]
        if process.poll() is not None or not targets:
            return False
        if kind == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid if kind == "supervisor" else chance.choice(targets), signal.SIGKILL)
        if kind in {"group", "supervisor"}:
            process.wait()
            until(lambda: not any(self.found().values()), f"left: {self.found()}")
        return True

    def finish(self) -> None:
        """Let it end, and run what has failed again."""
        for _ in range(2):
            self.start()
            assert self.process is not None
            self.process.wait()
        until(lambda: not any(self.found().values()), f"left: {self.found()}")


def main(times: int = 20) -> None:
    """Kill ``times`` times, and compare every store with that of an undisturbed run."""
    chance, kinds = random.Random(0), ("supervisor", "own", "worker", "group")
    with tempfile.TemporaryDirectory() as name:
        path = study(Path(name))
        whole = Run(path, Path(name) / "undisturbed")
        whole.finish()
        expected = failing_defenses.results(whole.out)
        assert len(expected) == 9, sorted(expected)
        stores, run = 1, Run(path, Path(name) / "1")
        for number in range(times):
            kind, start = kinds[number % len(kinds)], time.monotonic()
            while not run.kill(kind, chance):
                run.finish()
                assert failing_defenses.results(run.out) == expected
                stores += 1
                run = Run(path, Path(name) / str(stores))
            _say(f"{number + 1}: {kind} killed, {time.monotonic() - start:.0f} s")
        run.finish()
        assert failing_defenses.results(run.out) == expected
        _say(f"{times} kills, {stores} stores of {len(expected)} records: all as undisturbed")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
