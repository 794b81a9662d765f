"""The proof on a GPU, in steps: ``python -m tests.gpu --seconds 560 --out results/gpu``.

Each step runs in a process of its own, so that none spoils the next, prints a line that begins with
PASS or FAIL, and joins ``gpu.json`` as soon as it has ended. What the seconds do not reach says
LATER; the next call goes on there with ``--from STEP``, as it does after one that was cut off.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.training.device import select_device, set_up_torch
from tests.gpu import board, failures, machine, methods, speed
from tests.gpu.calls import CutOffError, Step, run_steps
from tests.gpu.step import Outcome, Setting

ROOT = Path(__file__).parents[2]
THREADS = 4


STEPS = {
    "machine": Step(machine.measure, 10, 60),
    "methods": Step(methods.compare, 60, 240),
    "bits": Step(methods.repeat, 60, 240),
    "failures": Step(failures.provoke, 60, 150),
    "speed": Step(speed.measure, 60, 240),
    "victims": Step(board.train, 60, 300),
    "workers": Step(board.share, 30, 150),
    "board": Step(board.run, 60, 600),
    "pack": Step(board.pack, 0, 15, always=True),
}
"""In the order of their worth: first whether results are right, then speed, then a board."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps; return how many failed."""
    given = _parsed(arguments)
    device = str(select_device(given.device))
    given.out.mkdir(parents=True, exist_ok=True)
    if given.step:
        _run_step(given.step, Setting(device, given.tiny, given.out, given.seconds))
        return 0
    chosen = given.only or list(STEPS)[list(STEPS).index(given.first) :]

    def begin(name: str, seconds: float) -> Outcome:
        setting = Setting(device, given.tiny, given.out, seconds)
        apart = not (given.here or STEPS[name].always)  # what is always run touches no GPU
        return _apart(name, setting) if apart else _here(name, setting)

    steps = {name: STEPS[name] for name in STEPS if name in chosen}
    return run_steps(steps, given.seconds, begin, given.out / "gpu.json")


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
    """Run a step in a process of its own.

    Raises:
        CutOffError: it was killed at its deadline.
    """
    _file(name, setting).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.gpu", "--step", name, "--device", setting.device]
    command += ["--out", str(setting.out), "--seconds", str(setting.seconds)]
    process = subprocess.Popen(
        [*command, *(["--tiny"] if setting.tiny else [])], start_new_session=True
    )
    try:
        code = process.wait(setting.seconds)
    except subprocess.TimeoutExpired as error:
        raise CutOffError from error
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
