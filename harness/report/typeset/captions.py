"""Sentences that several tables share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.contract import Quantity
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, number
from harness.report.stats.means import ENOUGH, REASONS, repeat_level
from harness.report.typeset.render import NOTHING


def with_spread(row: Mapping[Any, Any], quantity: Quantity) -> str:
    """Return a mean of ``summarize`` and how far its repeats spread; nothing of a single one.

    ± half of the interval, [its ends] where it is cut, or (the range) of fewer than three repeats.
    """
    unit = 100 if quantity.share else 1
    mean, low, high, lowest, highest = (
        unit * float(row[name]) for name in ("mean", "low", "high", "lowest", "highest")
    )
    text = number(mean, 1 if quantity.share else 2)
    if row["n_repeats"] < 2 or pd.isna(mean):
        return text
    if row["n_repeats"] < ENOUGH:
        return f"{text} ({number(lowest, 0)}–{number(highest, 0)})"
    if abs((high - mean) - (mean - low)) > 1e-9 * unit:
        return f"{text} [{number(low, 0)}, {number(high, 0)}]"
    return f"{text} ± {number(high - mean)}"


def spread_text(cells: pd.DataFrame, texts: Iterable[str]) -> str:
    """Return what the spreads in some texts are; the reason where there are none."""
    count, repeats = cells[repeat_level(cells)].nunique(), repeats_text(cells)
    shown = "".join(texts)
    parts = []
    if "±" in shown:
        parts.append(f"± the 95 % interval over {repeats}")
    if "[" in shown:
        parts.append(f"[a, b] the 95 % interval over {repeats}, cut where a share ends")
    if "(" in shown:
        few = f"two of {repeats}" if count > 2 else repeats
        parts.append(f"(a–b) the range over {few}, too few for an interval")
    return ", ".join(parts) or ("one seed, so no interval" if count < 2 else "")


def repeats_text(cells: pd.DataFrame) -> str:
    """Return what repeats the cells, and how often: ``3 seeds``."""
    level = repeat_level(cells)
    count = cells[level].nunique()
    if count < 2:
        return "one seed"
    return f"{count} {'seeds' if level == 'seed' else 'draws of the clean samples'}"


def column_label(metric: str, cells: pd.DataFrame) -> str:
    """Return a metric's label; that of seconds with § if any cell shared its GPU."""
    marked = metric == "seconds" and cells["shared"].any()
    return QUANTITIES[metric].label + ("§" if marked else "")


def attacks_text(groups: Sequence[BoardGroup]) -> str:
    """Return the names of the attacks that means are over, for each group where they differ."""
    texts = {group.title: _attacks(group) for group in groups}
    if len(set(texts.values())) == 1:
        return texts[groups[0].title]
    return "; ".join(f"{title}: {text}" for title, text in texts.items())


def _attacks(group: BoardGroup) -> str:
    """Return the names of a group's attacks: those that count, if any does."""
    counted = group.frame["reason"].eq("")
    cells = group.frame[counted] if counted.any() else group.frame
    return ", ".join(group.names.of("attack", label) for label in sorted(cells["attack"].unique()))


def best_text(margin: float) -> str:
    """Return the sentence that says what is bold and underlined."""
    return (
        "Best in bold, second underlined, among defenses that need clean images alone and lose at "
        f"most {100 * margin:g} points of ACC."
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
