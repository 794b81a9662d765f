"""Errors of the user, reported as readable lines instead of a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

Location = tuple[str | int, ...]
"""Keys and list indices that lead to a value."""
Fault = tuple[Location, str]
"""Where, relative to the value that was validated, and what is wrong."""


class UserError(Exception):
    """Something that the user can fix. The message says what is wrong, where, and what is valid.

    The command line prints the message as it is and exits with code 2. Several faults are one error
    with one line per fault.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint: ``; did you mean 'x'?`` if a known name is close, else the known names."""
    options = sorted(known)
    if close := closest(name, options):
        return f"; did you mean {close!r}?"
    return f"; known: {', '.join(options)}" if options else ""


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that a misspelt one is closest to; "" if none is close."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)), "")


def one_line(error: BaseException) -> str:
    """Return the type and the message of an error of a user's own code."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class EntryErrors(UserError):
    """All faults of one entry."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


def faults_of(error: UserError) -> list[Fault]:
    """Return the faults that an error holds; an error without a location has one."""
    return error.faults if isinstance(error, EntryErrors) else [((), str(error))]
