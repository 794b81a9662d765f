"""One hostile input of the campaign, and what became of it."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from harness.errors import UserError

MOST_SECONDS = 5
HANGS = 300
"""Seconds per command after which a case is interrupted; these pass while others use the machine,
those of MOST_SECONDS do not."""
CANARY = "canary"
"""The file that hostile code makes in the folder of its case, if it is run."""

Kind = Literal["refused", "accepted", "ignored", "traceback", "hang", "executed"]


class Case(NamedTuple):
    """A hostile input: what it is, and what is done with it in an empty folder."""

    what: str
    attempt: Callable[[Path], object]
    """Raises a UserError where it is refused."""
    may_pass: bool = False
    """Whether it may be accepted: it is odd, but harmless."""
    calls: int = 1
    """How many commands are called; each may take MOST_SECONDS."""


class Outcome(NamedTuple):
    """What became of a case."""

    case: Case
    kind: Kind
    seconds: float
    """CPU time of this process."""
    message: str

    @property
    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if self.kind in {"ignored", "traceback", "hang", "executed"}:
            return self.kind
        if self.seconds > MOST_SECONDS * self.case.calls:
            return "too long"
        if self.kind == "accepted" and not self.case.may_pass:
            return "accepted in silence"
        return "unclear" if self.kind == "refused" and not _is_clear(self.message) else ""


def _is_clear(message: str) -> bool:
    """Tell whether a message is a few lines of a readable length."""
    lines = message.splitlines()
    return 0 < len(lines) <= 101 and len(message) < 2e5 and all(line.strip() for line in lines)


class AcceptedInSilence(Exception):
    """A case was accepted, and what is wrong with it was ignored without a word."""


class TookTooLong(BaseException):
    """A case did not end; no ``except Exception`` may hold it back."""


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome_of(case: Case, folder: Path) -> Outcome:
    """Attempt a case in an empty folder."""
    start = time.process_time()
    kind: Kind = "accepted"
    message = ""
    try:
        with _time_limit(HANGS * case.calls):
            case.attempt(folder)
    except UserError as error:
        kind, message = "refused", str(error)
    except AcceptedInSilence as error:
        kind, message = "ignored", str(error)
    except TookTooLong:
        kind, message = "hang", traceback.format_exc(limit=-3)
    except BaseException:  # whatever it is, it is what this looks for
        kind, message = "traceback", traceback.format_exc(limit=-4)
    seconds = time.process_time() - start
    if (folder / CANARY).exists():
        kind = "executed"
    return Outcome(case, kind, seconds, message)
