"""The leaderboard: means of every defense at every budget, one table per group."""

from __future__ import annotations

import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.plan.rank import Rank
from harness.report import TableContents, table
from harness.report.frame.groups import (
    BOARD_SECTIONS,
    EXTRA_ACCESS,
    GROUP,
    BoardGroup,
)
from harness.report.frame.metric_info import (
    COLLAPSED_DROP,
    METRICS,
    QUANTITIES,
    SOLVED_ASR,
    SOLVED_DROP,
    number,
    percent,
    rate_text,
)
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import is_counted, summarize
from harness.report.typeset.captions import FALL, left_out_text, spread_text, with_spread
from harness.report.typeset.table import Section, TextTable

HEADER = ("defense", "ACC", "ASR", "worst", "RA", "DER", "RIR", "solved", "n")
WORST = "worst_asr"
"""The largest mean ASR over attacks and poison rates: a row beside the metrics."""
BY = [*GROUP, "budget", "defense"]
ACCESS_NOTES = {
    "oracle": " Oracle: methods that are given real triggers.",
    "external": " External: scripts of another toolbox, which are handed the test set as well.",
}


@table
def leaderboard(report: ReportData) -> TableContents:
    """Return all groups' leaderboards; with only a header where nothing is planned."""
    boards = report.once(all_board_numbers)
    if not report.groups:
        empty = BoardGroup("", "", report.attacked)
        return TableContents(texts=[], numbers=board_numbers(empty))
    texts = [
        board_table(group, numbers, report.rank_by)
        for group, numbers in zip(report.groups, boards, strict=True)
    ]
    return TableContents(texts=texts, numbers=pd.concat(boards))


def all_board_numbers(report: ReportData) -> list[pd.DataFrame]:
    """Return the numbers of every group's leaderboard."""
    return [board_numbers(group, report.rank_by) for group in report.groups]


def board_order(report: ReportData) -> list[str]:
    """Return the labels of the defenses in the order of the first board, then of the others."""
    boards = report.once(all_board_numbers)
    return list(dict.fromkeys(label for numbers in boards for label in numbers["defense"]))


def board_numbers(group: BoardGroup, rank_by: str = Rank.by) -> pd.DataFrame:
    """Return one row per budget, defense and metric, shares in 0..1, in the board's order.

    Within a budget: no defense first, then in the paper's order or by the mean of ``rank_by``, best
    first; then oracle and external methods.
    """
    frame = group.frame
    numbers = pd.concat([summarize(frame, BY, METRICS), worst_asr(frame)], ignore_index=True)
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min()
    needs = frame.groupby("defense")["needs"].first()
    numbers.insert(5, "needs", numbers["defense"].map(needs))
    numbers.insert(4, "n_clean", numbers["budget"].map(sizes["n_clean"]))
    numbers.insert(4, "spc", numbers["budget"].map(sizes["spc"]))
    return _ordered(numbers, group, rank_by)


def worst_asr(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the ASR of the attack and poison rate on which it is largest, as a metric's row."""
    each = summarize(cells, [*BY, "attack", "rate", "target"], ["asr"])
    rows = each.sort_values("mean", ascending=False, kind="stable").drop_duplicates(BY)
    return rows.drop(columns=["attack", "rate", "target"]).assign(metric=WORST)


def _ordered(numbers: pd.DataFrame, group: BoardGroup, rank_by: str) -> pd.DataFrame:
    chosen = group.paper.defenses
    better = QUANTITIES["asr" if rank_by == WORST else rank_by].better
    ranked = numbers[numbers["metric"].eq(rank_by)].set_index(["budget", "defense"])["mean"]
    defenses = pd.MultiIndex.from_frame(numbers[["budget", "defense"]])
    access = numbers["needs"].map(lambda needs: EXTRA_ACCESS.get(needs, ""))
    order = pd.DataFrame(
        {
            "budget": numbers["budget"].map(group.budgets.index),
            "section": access.map(BOARD_SECTIONS.index),
            "defended": numbers["defense"].ne(NO_DEFENSE),
            "chosen": numbers["defense"].map(lambda x: chosen.index(x) if x in chosen else 0),
            "worst_first": -better * ranked.reindex(defenses).to_numpy(),
            "defense": numbers["defense"],
            "metric": numbers["metric"].map([*METRICS, WORST].index),
        }
    )
    return numbers.loc[order.sort_values(list(order.columns)).index].reset_index(drop=True)


def board_table(group: BoardGroup, numbers: pd.DataFrame, rank_by: str = Rank.by) -> TextTable:
    """Return a group's leaderboard as text: per budget, a section for each kind of access."""
    access = numbers["defense"].map(lambda name: group.extra_access.get(name, ""))
    sections = []
    for budget in group.budgets:
        for name in BOARD_SECTIONS:
            rows = _rows(numbers[numbers["budget"].eq(budget) & access.eq(name)], group)
            if rows:
                sections.append(Section(label=f"{budget} {name}".strip(), rows=rows))
    return TextTable(
        title=group.title,
        header=HEADER,
        sections=sections,
        caption=_caption(group, sections, rank_by),
        left_out=left_out_text(group.frame),
    )


def _rows(numbers: pd.DataFrame, group: BoardGroup) -> list[tuple[str, ...]]:
    rows = []
    for defense in numbers["defense"].unique():
        metrics = numbers[numbers["defense"].eq(defense)].set_index("metric")
        means = metrics["mean"]
        name = group.names.of("defense", defense)
        acc = percent(means["acc"]) + ("‡" if means["acc_change"] < -COLLAPSED_DROP else "")
        asr = with_spread(metrics.loc["asr"].to_dict(), QUANTITIES["asr"])
        others = (percent(means[metric]) for metric in (WORST, "ra", "der", "rir"))
        solved = number(100 * means["solved"], 0)
        n = f"{metrics['n_cells']['acc']}/{metrics['n_planned']['acc']}"
        rows.append((name, acc, asr, *others, solved, n))
    return rows


def _caption(group: BoardGroup, sections: list[Section], rank_by: str) -> str:
    """Return what was averaged, how rows are sorted, and what the sections mean."""
    counted = is_counted(group.frame)
    cells = group.frame[counted] if counted.any() else group.frame
    attacks = ", ".join(group.names.of("attack", name) for name in sorted(cells["attack"].unique()))
    rates = rate_text(*cells["rate"].unique())
    shown = [text for section in sections for row in section.rows for text in row[1:]]
    spread = spread_text(cells, shown)
    label = "the worst ASR" if rank_by == WORST else QUANTITIES[rank_by].label
    text = (
        f"Percent: means over {attacks} at poison rate {rates}{f'; {spread}' if spread else ''}. "
        "worst: the largest mean ASR over attacks. solved: share of victims with ASR below "
        f"{100 * SOLVED_ASR:g} and ACC less than {100 * SOLVED_DROP:g} points lower. "
        "n: cells used of cells planned. "
        f"Sorted by {label} within a budget."
    )
    if any("‡" in text for text in shown):
        text += f" {FALL} on average."
    present = group.extra_access.values()
    return text + "".join(note for name, note in ACCESS_NOTES.items() if name in present)
