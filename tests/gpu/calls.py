"""A call of the proof: its seconds go to the steps in their order, as far as they reach."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.gpu.step import Outcome, Setting

VERDICTS = {True: "PASS", False: "FAIL", None: "LATER"}
NOT_REACHED = Outcome(passed=None, said="not reached", values={})
Begin = Callable[[str, float], Outcome]
"""Runs a step by its name, for some seconds at most; raises CutOffError if they are too few."""


class CutOffError(Exception):
    """A step has not ended within its seconds."""


class Step(NamedTuple):
    """What a step does, and its seconds."""

    work: Callable[[Setting], Outcome]
    least: float
    """With fewer left it is not begun."""
    most: float
    """After them something is wrong, and it is ended."""
    always: bool = False
    """Run even where others are not reached: seconds are kept for it."""


def run_steps(
    steps: Mapping[str, Step],
    seconds: float,
    begin: Begin,
    file: Path,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run steps in their order, each for as long as it takes; return how many did not pass.

    When the seconds are over, all further steps are left to the next call.

    Args:
        steps: by name, the worthiest first.
        seconds: for all of them together.
        begin: runs one.
        file: has what earlier calls found, and gets what a step finds when it has ended.
        clock: the time in seconds.
    """
    end, later = clock() + seconds, list[str]()
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for name, step in steps.items():
        start = clock()
        kept = 0 if step.always else sum(x.most for x in steps.values() if x.always)
        left = end - start - kept
        if step.always or (not later and left >= step.least):
            outcome = _run(step, min(step.most, left), partial(begin, name))
        else:
            outcome = NOT_REACHED
        later += [name] if outcome.passed is None else []
        taken = clock() - start
        _say(f"{VERDICTS[outcome.passed]} {name} ({taken:.0f} s): {outcome.said}")
        found[name] = {**outcome._asdict(), "seconds": round(taken, 1)}
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if later:
        _say(f"the seconds are over; go on with --from {later[0]}")
    return sum(not found[name]["passed"] for name in steps)


def _run(step: Step, seconds: float, begin: Callable[[float], Outcome]) -> Outcome:
    try:
        return begin(max(0.0, seconds))
    except CutOffError:
        reached = False if seconds >= step.most else None
        return Outcome(passed=reached, said=f"no end after {seconds:.0f} s", values={})


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
