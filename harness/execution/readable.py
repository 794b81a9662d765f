"""A traceback without the harness's own calls above the method."""

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
