"""Errors of the user, reported as readable lines instead of a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can fix. The message says what is wrong, where, and what is valid.

    The command line prints the message as it is and exits with code 2. Several faults are one error
    with one line per fault.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint: ``; did you mean 'x'?`` if a known name is close, else the known names."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(options)}" if options else ""
