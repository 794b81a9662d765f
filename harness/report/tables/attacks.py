"""Defenses by attacks, one table per budget: the numbers of the IMS paper (arXiv 2509.15497)."""

from __future__ import annotations

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.metric_info import COLLAPSED_DROP, METRICS, rate_text
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.typeset.captions import FALL, left_out_text, marks_text, repeats_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out, present
from harness.report.typeset.table import TextTable

MEAN = "mean"
"""The last attack of a section: the mean over all of them."""


@table
def attacks(report: ReportData) -> TableContents | None:
    """Return every group's tables, the defenses in the order of its leaderboard."""
    if not report.groups:
        return None
    boards = zip(report.groups, report.once(all_board_numbers), strict=True)
    texts = [text for group, numbers in boards for text in attack_tables(group, numbers)]
    by = [*GROUP, "budget", "rate", "attack", "defense"]
    return TableContents(texts=texts, numbers=summarize(report.attacked, by, METRICS))


def attack_tables(group: BoardGroup, board: pd.DataFrame) -> list[TextTable]:
    """Return one table per budget: a section per poison rate, rows defenses, columns attacks.

    Where the paper asks for it, rows are attacks and columns defenses. ``board`` has the numbers of
    the group's leaderboard, for the order of the defenses. ``mean`` weighs every attack of its
    section the same; a section of one attack has none.
    """
    paper = group.paper
    summary = _summary(group)
    rows, columns = ("defense", "attack") if paper.rows == "defenses" else ("attack", "defense")
    layout = TableLayout(
        sections="rate", rows=rows, columns=columns, metrics=paper.metrics, names=group.names
    )
    repeats = repeats_text(group.frame)
    caption = f"Percent, means over {repeats}. {marks_text(paper.margin)} {FALL}."
    tables = []
    for budget in group.budgets:
        cells = group.frame[group.frame["budget"].eq(budget)]
        numbers = summary[summary["budget"].eq(budget)]
        board_order = board.loc[board["budget"].eq(budget), "defense"].tolist()
        orders = {
            "rate": list(dict.fromkeys(numbers["rate"])),
            "attack": present([*sorted(set(cells["attack"])), MEAN], numbers, "attack"),
            "defense": present(board_order, numbers, "defense"),
        }
        blank = blank_table(f"{group.title}, {budget}", rows, caption, left_out_text(cells))
        tables.append(lay_out(numbers, layout, orders, blank))
    return tables


def _summary(group: BoardGroup) -> pd.DataFrame:
    """Return the numbers of each attack and of their mean, with their texts."""
    cells, shown = group.frame, group.paper.metrics
    metrics = list(dict.fromkeys(("acc", *shown, "acc_change")))
    each = summarize(cells, ["budget", "rate", "attack", "defense"], metrics)
    n_attacks = cells.groupby(["budget", "rate"], dropna=False)["attack"].transform("nunique")
    mean = summarize(cells[n_attacks.gt(1)], ["budget", "rate", "defense"], metrics)
    mean = mean.assign(attack=MEAN)[each.columns]
    summary = pd.concat([each, mean], ignore_index=True)
    summary["rate"] = "poison rate " + summary["rate"].map(rate_text)
    texts = cell_texts(summary, group.extra_access, group.paper.margin)
    marked = _with_falls(summary.assign(text=texts))
    return marked[marked["metric"].isin(shown)]


def _with_falls(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary with a mark at every ACC that fell too far; the texts keep their types."""
    columns = ["budget", "rate", "attack", "defense"]
    marked_falls = summary["metric"].eq("acc_change") & summary["mean"].lt(-COLLAPSED_DROP)
    keys = pd.MultiIndex.from_frame(summary[columns])
    marked = summary["metric"].eq("acc") & keys.isin(keys[marked_falls])
    texts = summary["text"].tolist()
    marks = [type(t)(f"{t}‡") if mark else t for t, mark in zip(texts, marked, strict=True)]
    return summary.assign(text=pd.Series(marks, index=summary.index, dtype=object))
