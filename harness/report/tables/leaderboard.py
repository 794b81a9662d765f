"""The leaderboard: means of every defense at every budget, one table per group.

A study that defends clean models too has a column of what each defense costs there; one of clean
models alone has the table ``clean`` for a board.
"""

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
    section_label,
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
from harness.report.tables.clean import clean_tables
from harness.report.typeset.captions import (
    attacks_text,
    left_out_text,
    spread_text,
    with_spread,
)
from harness.report.typeset.marks import FALL
from harness.report.typeset.table import Row, Section, TextTable

HEADER = ("defense", "ACC", "ASR", "worst", "RA", "DER", "RIR", "solved", "n")
WORST = "worst_asr"
"""The largest mean ASR over attacks and poison rates: a row beside the metrics."""
CLEAN_COST = "clean_acc_change"
"""The change of ACC on clean models, where the study has cells of them: likewise a row."""
CLEAN_HEADING = "clean ΔACC"
CLEAN_NOTE = f" {CLEAN_HEADING}: the change of ACC on models without a backdoor."
BY = [*GROUP, "budget", "defense"]
ACCESS_NOTES = {
    "oracle": " Oracle: methods that are given real triggers.",
    "external": " External: scripts of another toolbox, which are handed the test set as well.",
}


@table
def leaderboard(report: ReportData) -> TableContents:
    """Return all groups' leaderboards; with only a header where no attack is planned."""
    boards = report.once(all_board_numbers)
    if not report.groups:
        empty = BoardGroup("", "", report.attacked)
        numbers = board_numbers(empty, report.clean)
        return TableContents(texts=clean_tables(report), numbers=numbers)
    texts = [
        board_table(group, numbers, report.rank_by)
        for group, numbers in zip(report.groups, boards, strict=True)
    ]
    return TableContents(texts=texts, numbers=pd.concat(boards))


def all_board_numbers(report: ReportData) -> list[pd.DataFrame]:
    """Return the numbers of every group's leaderboard."""
    return [board_numbers(group, report.clean, report.rank_by) for group in report.groups]


def board_order(report: ReportData) -> list[str]:
    """Return the labels of the defenses in the order of the first board, then of the others.

    No defense first, whatever is planned.
    """
    boards = report.once(all_board_numbers)
    ranked = (label for numbers in boards for label in numbers["defense"])
    return list(dict.fromkeys((NO_DEFENSE, *ranked, *report.defenses)))


def board_numbers(
    group: BoardGroup, clean_cells: pd.DataFrame | None = None, rank_by: str = Rank.by
) -> pd.DataFrame:
    """Return one row per budget, defense and metric, shares in 0..1, in the board's order.

    Within a budget: no defense first, then in the paper's order or by the mean of ``rank_by``, best
    first; then oracle and external methods. ``clean_cells`` are those of clean models, of this
    group and of others.
    """
    frame = group.frame
    parts = [summarize(frame, BY, METRICS), worst_asr(frame)]
    if clean_cells is not None:
        parts.append(_clean_cost(group.only(clean_cells), frame))
    numbers = pd.concat(parts, ignore_index=True)
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


def _clean_cost(clean_cells: pd.DataFrame, attacked: pd.DataFrame) -> pd.DataFrame:
    """Return the change of ACC on clean models, for the defenses and budgets of a board."""
    costs = summarize(clean_cells, BY, ["acc_change"]).assign(metric=CLEAN_COST)
    return costs.merge(attacked[BY].drop_duplicates())


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
            "metric": numbers["metric"].map([*METRICS, WORST, CLEAN_COST].index),
        }
    )
    return numbers.loc[order.sort_values(list(order.columns)).index].reset_index(drop=True)


def board_table(group: BoardGroup, numbers: pd.DataFrame, rank_by: str = Rank.by) -> TextTable:
    """Return a group's leaderboard as text: per budget, a section for each kind of access."""
    access = numbers["defense"].map(lambda name: group.extra_access.get(name, ""))
    has_clean = CLEAN_COST in set(numbers["metric"])
    header = (*HEADER[:-1], CLEAN_HEADING, HEADER[-1]) if has_clean else HEADER
    sections = []
    for budget in group.budgets:
        for name in BOARD_SECTIONS:
            chosen = numbers[numbers["budget"].eq(budget) & access.eq(name)]
            rows = _rows(chosen, group, has_clean=has_clean)
            if rows:
                sections.append(Section(label=section_label(budget, name), rows=rows))
    return TextTable(
        title=group.title,
        header=header,
        sections=sections,
        caption=_caption(group, sections, rank_by) + (CLEAN_NOTE if has_clean else ""),
        left_out=left_out_text(group.frame),
    )


def _rows(numbers: pd.DataFrame, group: BoardGroup, *, has_clean: bool) -> list[Row]:
    rows = []
    most = numbers.loc[numbers["metric"].eq("acc"), "n_cells"].max()
    for defense, of_defense in numbers.groupby("defense", sort=False):
        metrics = of_defense.set_index("metric")
        means = metrics["mean"]
        name = group.names.of("defense", str(defense))
        acc = percent(means["acc"]) + ("‡" if means["acc_change"] < -COLLAPSED_DROP else "")
        asr = with_spread(metrics.loc["asr"].to_dict(), QUANTITIES["asr"])
        others = (percent(means[metric]) for metric in (WORST, "ra", "der", "rir"))
        solved = number(100 * means["solved"], 0)
        clean_cost = (percent(means.get(CLEAN_COST, float("nan"))),) if has_clean else ()
        n_cells, n_planned = metrics["n_cells"]["acc"], metrics["n_planned"]["acc"]
        n = f"{n_cells}/{n_planned}{'†' if n_cells < most else ''}"
        rows.append((name, acc, asr, *others, solved, *clean_cost, n))
    return rows


def _caption(group: BoardGroup, sections: list[Section], rank_by: str) -> str:
    """Return what was averaged, how rows are sorted, and what the sections mean."""
    counted = is_counted(group.frame)
    cells = group.frame[counted] if counted.any() else group.frame
    attacks = attacks_text([group])
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
    if any("†" in text for text in shown):
        text += " †: fewer cells than others of its part, so not a mean over the same ones."
    if any("‡" in text for text in shown):
        text += f" {FALL} on average."
    present = group.extra_access.values()
    return text + "".join(note for name, note in ACCESS_NOTES.items() if name in present)
