"""The leaderboard: means of every defense at every budget, one table per group."""

from __future__ import annotations

import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.report import TableContents, table
from harness.report.frame.groups import (
    BOARD_SECTIONS,
    EXTRA_ACCESS,
    GROUP,
    BoardGroup,
    budgets,
)
from harness.report.frame.metric_info import COMPARED, METRICS, number, percent
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import is_counted, summarize
from harness.report.typeset.captions import left_out_text
from harness.report.typeset.table import Section, TextTable

HEADER = ("defense", "ACC", "ASR", "RA", "DER", "sec", "n")
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
        board_table(group, numbers) for group, numbers in zip(report.groups, boards, strict=True)
    ]
    return TableContents(texts=texts, numbers=pd.concat(boards))


def all_board_numbers(report: ReportData) -> list[pd.DataFrame]:
    """Return the numbers of every group's leaderboard."""
    return [board_numbers(group) for group in report.groups]


def board_numbers(group: BoardGroup) -> pd.DataFrame:
    """Return one row per budget, defense and metric, shares in 0..1, in the board's order.

    Within a budget: no defense first, then by mean DER, best first; then oracle and external
    methods.
    """
    frame = group.frame
    numbers = summarize(frame, [*GROUP, "budget", "defense"], METRICS)
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min()
    needs = frame.groupby("defense")["needs"].first()
    numbers.insert(5, "needs", numbers["defense"].map(needs))
    numbers.insert(4, "n_clean", numbers["budget"].map(sizes["n_clean"]))
    numbers.insert(4, "spc", numbers["budget"].map(sizes["spc"]))
    return _ordered(numbers, budgets(frame))


def _ordered(numbers: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    der = numbers[numbers["metric"].eq("der")].set_index(["budget", "defense"])["mean"]
    defenses = pd.MultiIndex.from_frame(numbers[["budget", "defense"]])
    access = numbers["needs"].map(lambda needs: EXTRA_ACCESS.get(needs, ""))
    order = pd.DataFrame(
        {
            "budget": numbers["budget"].map(labels.index),
            "section": access.map(BOARD_SECTIONS.index),
            "defended": numbers["defense"].ne(NO_DEFENSE),
            "minus_der": -der.reindex(defenses).to_numpy(),
            "defense": numbers["defense"],
            "metric": numbers["metric"].map(METRICS.index),
        }
    )
    return numbers.loc[order.sort_values(list(order.columns)).index].reset_index(drop=True)


def board_table(group: BoardGroup, numbers: pd.DataFrame) -> TextTable:
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
        caption=_caption(group),
        left_out=left_out_text(group.frame),
    )


def _rows(numbers: pd.DataFrame, group: BoardGroup) -> list[tuple[str, ...]]:
    rows = []
    for defense in numbers["defense"].unique():
        metrics = numbers[numbers["defense"].eq(defense)].set_index("metric")
        shares = [percent(metrics["mean"][name], metrics["high"][name]) for name in COMPARED]
        seconds = number(metrics["mean"]["seconds"])
        n = f"{metrics['n_cells']['acc']}/{metrics['n_planned']['acc']}"
        rows.append((group.names.of("defense", defense), *shares, seconds, n))
    return rows


def _caption(group: BoardGroup) -> str:
    """Return what was averaged, how rows are sorted, and what the sections mean."""
    counted = is_counted(group.frame)
    cells = group.frame[counted] if counted.any() else group.frame
    attacks = ", ".join(group.names.of("attack", name) for name in sorted(cells["attack"].unique()))
    rates = ", ".join(f"{100 * rate:g}" for rate in sorted(cells["rate"].unique()))
    seeds = cells["seed"].nunique()
    spread = f"± the 95 % interval over {seeds} seeds" if seeds > 1 else "one seed, so no interval"
    text = (
        f"Percent: means over {attacks} at poison rate {rates} %; {spread}. "
        "sec: seconds of the defense. n: cells used of cells planned. "
        "Sorted by DER within a budget."
    )
    present = group.extra_access.values()
    return text + "".join(note for name, note in ACCESS_NOTES.items() if name in present)
