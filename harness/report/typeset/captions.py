"""Sentences that several tables share."""

from __future__ import annotations

import pandas as pd

from harness.report.stats.means import REASONS
from harness.report.typeset.render import NOTHING

MARKS = (
    "Best in bold, second underlined, among defenses that need clean images alone. "
    "†: fewer cells than planned; a word instead of a number: why there is none."
)


def left_out_text(cells: pd.DataFrame) -> str:
    """Return the sentence that counts the cells outside every mean, by reason."""
    counts = cells["reason"].value_counts()
    reasons = []
    if counts["gate"]:
        victims = cells.loc[cells["reason"].eq("gate"), "victim"].nunique()
        failed = f"{_count(victims, 'victim')} failed the gate"
        reasons.append(f"{failed} ({_count(counts['gate'], 'cell')})")
    reasons += [f"{counts[why]} {why}" for why in REASONS if counts[why] and why != "gate"]
    unfinished = "" if counts[""] else f"{NOTHING} "
    return f"{unfinished}Left out: {'; '.join(reasons) or 'nothing'}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
