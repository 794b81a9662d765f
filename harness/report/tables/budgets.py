"""Defenses by budget, side by side: the leaderboard's means in one row per defense."""

from __future__ import annotations

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.typeset.captions import attacks_text, best_text, left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out
from harness.report.typeset.table import TextTable


@table
def budgets(report: ReportData) -> TableContents | None:
    """Return a table for every group with several budgets; the numbers are the leaderboard's."""
    boards = zip(report.groups, report.once(all_board_numbers), strict=False)
    texts = [_table(group, board) for group, board in boards if len(group.budgets) > 1]
    return TableContents(texts=texts) if texts else None


def _table(group: BoardGroup, board: pd.DataFrame) -> TextTable:
    """Return a group's table: rows defenses, columns budgets."""
    cells, paper = group.frame, group.paper
    numbers = summarize(cells, ["budget", "defense"], tuple(dict.fromkeys(("acc", *paper.metrics))))
    numbers.insert(0, "all", "")
    numbers["text"] = cell_texts(numbers, group.extra_access, paper.margin)
    layout = TableLayout(
        sections="all", rows="defense", columns="budget", metrics=paper.metrics, names=group.names
    )
    orders = {
        "all": [""],
        "defense": list(dict.fromkeys(board["defense"])),
        "budget": group.budgets,
    }
    caption = f"Percent, means over {attacks_text([group])}. {best_text(paper.margin)}"
    blank = blank_table(
        f"Defenses by budget, {group.title}", "defense", caption, left_out_text(cells)
    )
    return lay_out(numbers, layout, orders, blank)
