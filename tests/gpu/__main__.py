"""The proof on a GPU, in steps: ``python -m tests.gpu --seconds 560 --out results/gpu``.

Each step runs in a process of its own with a deadline of its own, so that none spoils the next,
prints a line that begins with PASS or FAIL, and joins ``gpu.json`` as soon as it has ended. A call
that was cut off goes on with ``--from STEP``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.training.device import select_device, set_up_torch
from tests.gpu import board, failures, machine, methods, speed
from tests.gpu.step import Outcome, Setting

ROOT = Path(__file__).parents[2]
THREADS = 4


class Step(NamedTuple):
    """What a step does, and the most seconds that it takes."""

    work: Callable[[Setting], Outcome]
    seconds: float


STEPS = {
    "machine": Step(machine.measure, 40),
    "methods": Step(methods.compare, 110),
    "bits": Step(methods.repeat, 80),
    "failures": Step(failures.provoke, 90),
    "speed": Step(speed.measure, 120),
    "victims": Step(board.train, 100),
    "workers": Step(board.share, 90),
    "board": Step(board.run, 600),
    "pack": Step(board.pack, 15),
}
"""In their order; the board gets what time is left."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps; return how many failed."""
    given = _parsed(arguments)
    device = str(select_device(given.device))
    given.out.mkdir(parents=True, exist_ok=True)
    if given.step:
        _run_step(given.step, Setting(device, given.tiny, given.out, given.seconds))
        return 0
    end = time.monotonic() + given.seconds
    chosen = list(STEPS)[list(STEPS).index(given.first) :]
    results = _earlier(given.out)
    for name in given.only or chosen:
        left = end - time.monotonic() - (STEPS["pack"].seconds if name == "board" else 0)
        setting = Setting(device, given.tiny, given.out, max(0.0, min(STEPS[name].seconds, left)))
        start = time.monotonic()
        outcome = _here(name, setting) if given.here else _apart(name, setting)
        seconds = time.monotonic() - start
        verdict = "PASS" if outcome.passed else "FAIL"
        print(f"{verdict} {name} ({seconds:.0f} s): {outcome.said}", flush=True)  # noqa: T201
        results[name] = {**outcome._asdict(), "seconds": round(seconds, 1)}
        (given.out / "gpu.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return sum(not results[name]["passed"] for name in given.only or chosen)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu")
    parser.add_argument("--seconds", type=float, default=560.0, help="for all steps together")
    parser.add_argument("--from", dest="first", choices=STEPS, default="machine")
    parser.add_argument("--only", nargs="+", choices=STEPS)
    parser.add_argument("--tiny", action="store_true", help="in seconds, to see that it works")
    parser.add_argument("--here", action="store_true", help="all in this process, no deadlines")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _earlier(out: Path) -> dict[str, Any]:
    """Return what an earlier call has found."""
    file = out / "gpu.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _here(name: str, setting: Setting) -> Outcome:
    try:
        return STEPS[name].work(setting)
    except Exception as error:  # whatever it is, the next step runs
        traceback.print_exc()
        return _failed(f"{type(error).__name__}: {error}".splitlines()[0])


def _failed(why: str) -> Outcome:
    return Outcome(passed=False, said=why, values={})


def _run_step(name: str, setting: Setting) -> None:
    """Run a step in the process that was started for it."""
    set_up_torch(THREADS)
    outcome = _here(name, setting)
    _file(name, setting).write_text(json.dumps(outcome._asdict()), encoding="utf-8")


def _apart(name: str, setting: Setting) -> Outcome:
    """Run a step in a process of its own, which is killed at its deadline."""
    _file(name, setting).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.gpu", "--step", name, "--device", setting.device]
    command += ["--out", str(setting.out), "--seconds", str(setting.seconds)]
    process = subprocess.Popen(
        [*command, *(["--tiny"] if setting.tiny else [])], start_new_session=True
    )
    try:
        code = process.wait(setting.seconds)
    except subprocess.TimeoutExpired:
        return _failed(f"no end after {setting.seconds:.0f} s")
    finally:
        _end(process)
    if not _file(name, setting).exists():
        return _failed(f"its process ended with {code}")
    return Outcome(**json.loads(_file(name, setting).read_text(encoding="utf-8")))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _file(name: str, setting: Setting) -> Path:
    return setting.out / f"step-{name}.json"


if __name__ == "__main__":
    sys.exit(main())
