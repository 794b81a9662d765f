"""Texts for people: a traceback without the harness's calls above the method, a duration."""

from __future__ import annotations

import re
from pathlib import Path

FRAME = re.compile(r'^  File "([^"]+)", line \d+', re.MULTILINE)
ABOVE = Path(__file__).parent
"""Frames of these files, at the top of a traceback, say nothing about a method."""


def readable_traceback(text: str) -> str:
    """Return a traceback from the first frame that is not in ``harness/execution``."""
    head, found, _ = text.partition('  File "')
    if not found:
        return text.rstrip()
    frames = list(FRAME.finditer(text))
    first = next((x for x in frames if ABOVE not in Path(x[1]).parents), frames[0])
    return (head + text[first.start() :]).rstrip()


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
