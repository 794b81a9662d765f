"""The leaderboard as text, defense by budget; tables.py gives it a format."""

from __future__ import annotations

import pandas as pd

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    PRIVILEGES,
    SECTIONS,
    BoardGroup,
    budgets,
    display,
    extra_access,
)
from harness.report.frame.metric_info import METRICS, number, percent
from harness.report.stats.means import REASONS, summarize
from harness.report.typeset.render import NOTHING
from harness.report.typeset.table import Section, TextTable

SHARES = ["acc", "asr", "ra", "der"]
HEADER = ("defense", "ACC", "ASR", "RA", "DER", "sec", "n")


def board(part: BoardGroup, table: pd.DataFrame) -> TextTable:
    """Return the part's leaderboard from its numbers: one data set and model, never averaged with another."""
    apart = extra_access(part.frame)
    sections = []
    for budget in budgets(part.frame):
        rows = table[table["budget"].eq(budget)]
        group = rows["defense"].map(lambda name: apart.get(name, ""))
        sections += [
            Section(label=f"{budget} {name}".strip(), rows=_rows(rows[group.eq(name)]))
            for name in SECTIONS
        ]
    kept = [section for section in sections if section.rows]
    return TextTable(
        title=part.title,
        header=HEADER,
        sections=kept,
        caption=_caption(part.frame),
        left_out=left_out_text(part.frame),
    )


def leaderboard(part: BoardGroup) -> pd.DataFrame:
    """Return the board's numbers: one row per budget, defense and metric, shares in 0..1, in board order.

    Within a budget the order is: no defense, then by mean DER, best first; then oracle and external
    methods.
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
            "section": table["needs"].map(lambda needs: SECTIONS.index(PRIVILEGES.get(needs, ""))),
            "method": table["defense"].ne(NO_DEFENSE),
            "worse": -der.reindex(
                pd.MultiIndex.from_frame(table[["budget", "defense"]])
            ).to_numpy(),
            "defense": table["defense"],
            "metric": table["metric"].map(METRICS.index),
        }
    )
    return table.loc[rank.sort_values(list(rank.columns)).index].reset_index(drop=True)


def _rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    rows = []
    for defense in table["defense"].unique():
        line = table[table["defense"].eq(defense)].set_index("metric")
        shares = [percent(line["mean"][metric], line["high"][metric]) for metric in SHARES]
        n = f"{line['n_cells']['acc']}/{line['n_planned']['acc']}"
        rows.append((display(defense), *shares, number(line["mean"]["seconds"]), n))
    return rows


def _caption(frame: pd.DataFrame) -> str:
    """Return what was averaged, how the rows are sorted, and what sections mean, if there are any."""
    counts = frame["reason"].eq("")
    used = frame[counts] if counts.any() else frame
    attacks = ", ".join(sorted(used["attack"].unique()))
    rates = ", ".join(f"{100 * rate:g}" for rate in sorted(used["rate"].unique()))
    seeds = used["seed"].nunique()
    spread = f"± the 95 % interval over {seeds} seeds" if seeds > 1 else "one seed, so no interval"
    text = (
        f"Percent: means over {attacks} at poison rate {rates} %; {spread}. sec: seconds of the defense. "
        "n: cells used of cells planned. Sorted by DER within a budget."
    )
    given = {
        "oracle": " Oracle: methods that are given real triggers.",
        "external": " External: scripts of another toolbox, which are handed the test set as well.",
    }
    return text + "".join(given[name] for name in SECTIONS if name in extra_access(frame).values())


def left_out_text(cells: pd.DataFrame) -> str:
    """Return the sentence that counts the cells outside every mean, by reason."""
    counts = cells["reason"].value_counts()
    parts = [
        f"{counts[reason]} {reason}" for reason in REASONS if counts[reason] and reason != "gate"
    ]
    if counts["gate"]:
        victims = cells.loc[cells["reason"].eq("gate"), "victim"].nunique()
        parts.insert(
            0, f"{_count(victims, 'victim')} failed the gate ({_count(counts['gate'], 'cell')})"
        )
    unfinished = "" if counts[""] else f"{NOTHING} "
    return f"{unfinished}Left out: {'; '.join(parts) or 'nothing'}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
