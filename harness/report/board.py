"""The leaderboard as text, defense by budget; tables.py gives it a format."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.report.parts import NO_DEFENSE, Part, budgets, display, oracles
from harness.report.statistics import REASONS, distinct, failed_gate, left_out, summarize

SHARES = ["acc", "asr", "ra", "der"]
METRICS = [*SHARES, "rir", "arr", "rdr", "seconds", "peak_mem_mb"]
HEADER = ("defense", "ACC", "ASR", "RA", "DER", "sec", "n")
NOTHING = "Nothing to average yet."


@dataclass(frozen=True, kw_only=True)
class Section:
    """The rows of one budget: the methods that need clean images alone, or the oracle methods."""

    label: str
    rows: list[tuple[str, ...]]  # as many texts as HEADER


@dataclass(frozen=True, kw_only=True)
class Board:
    """One data set and model; never averaged with another."""

    title: str
    caption: str  # what the numbers are
    sections: list[Section]
    left_out: str  # what they don't contain


def board(part: Part) -> Board:
    """Return the part's leaderboard."""
    table = leaderboard(part)
    apart = oracles(part.frame)
    sections = []
    for budget in budgets(part.frame):
        rows = table[table["budget"].eq(budget)]
        oracle = rows["defense"].isin(apart)
        sections.append(Section(label=budget, rows=_rows(rows[~oracle])))
        sections.append(Section(label=f"{budget} oracle", rows=_rows(rows[oracle])))
    kept = [section for section in sections if section.rows]
    return Board(
        title=part.title, caption=_caption(part.frame), sections=kept, left_out=_left_out(part.frame)
    )


def leaderboard(part: Part) -> pd.DataFrame:
    """Return the board's numbers: one row per budget, defense and metric, shares in 0..1, in board order.

    Within a budget the order is: no defense, then by mean DER, best first; oracle methods after all others.
    """
    frame = part.frame
    table = summarize(frame, ["data", "model", "recipe", "budget", "defense"], METRICS)
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min()
    needs = frame.groupby("defense")["needs"].first()
    table.insert(5, "needs", table["defense"].map(needs))
    table.insert(4, "n_clean", table["budget"].map(sizes["n_clean"]))
    table.insert(4, "spc", table["budget"].map(sizes["spc"]))
    return _ordered(table, budgets(frame))


def _ordered(table: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    der = table[table["metric"].eq("der")].set_index(["budget", "defense"])["mean"]
    rank = pd.DataFrame(
        {
            "budget": table["budget"].map(labels.index),
            "oracle": table["needs"].eq("triggers"),
            "method": table["defense"].ne(NO_DEFENSE),
            "worse": -der.reindex(pd.MultiIndex.from_frame(table[["budget", "defense"]])).to_numpy(),
            "defense": table["defense"],
            "metric": table["metric"].map(METRICS.index),
        }
    )
    return table.loc[rank.sort_values(list(rank.columns)).index].reset_index(drop=True)


def _rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    rows = []
    for defense in table["defense"].unique():
        line = table[table["defense"].eq(defense)].set_index("metric")
        shares = [_percent(line["mean"][metric], line["high"][metric]) for metric in SHARES]
        n = f"{line['n_cells']['acc']}/{line['n_planned']['acc']}"
        rows.append((display(defense), *shares, _number(line["mean"]["seconds"]), n))
    return rows


def _percent(mean: float, high: float) -> str:
    half = 100 * (high - mean)
    return _number(100 * mean) + ("" if pd.isna(half) else f" ± {half:.{1 if half < 99.95 else 0}f}")


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1f}"


def _caption(frame: pd.DataFrame) -> str:
    """Return what was averaged, how the rows are sorted, and what oracle means, if there are any."""
    attacks = ", ".join(sorted(frame["attack"].unique()))
    rates = ", ".join(f"{100 * rate:g}" for rate in sorted(frame["rate"].unique()))
    seeds = frame["seed"].nunique()
    spread = f"± the 95 % interval over {seeds} seeds" if seeds > 1 else "one seed, so no interval"
    text = (
        f"Percent: means over {attacks} at poison rate {rates} %; {spread}. sec: seconds of the defense. "
        "n: cells used of cells planned. Sorted by DER within a budget."
    )
    return f"{text} Oracle: methods that are given real triggers." if oracles(frame) else text


def _left_out(frame: pd.DataFrame) -> str:
    """Return the sentence that counts the cells outside every mean, by reason."""
    cells = distinct(frame)
    reasons = left_out(cells)
    counts = {reason: int(reasons.eq(reason).sum()) for reason in REASONS}
    parts = [f"{count} {reason}" for reason, count in counts.items() if count and reason != "gate"]
    if counts["gate"]:
        victims = cells.loc[failed_gate(cells), "victim"].nunique()
        parts.insert(0, f"{_count(victims, 'victim')} failed the gate ({_count(counts['gate'], 'cell')})")
    unfinished = "" if reasons.eq("").any() else f"{NOTHING} "
    return f"{unfinished}Left out: {'; '.join(parts) or 'nothing'}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
