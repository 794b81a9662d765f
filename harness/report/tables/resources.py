"""Seconds and peak memory of every defense at every budget, one table per group."""

from __future__ import annotations

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import metric_text
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import is_counted, summarize
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.typeset.captions import left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, lay_out, with_missing
from harness.report.typeset.table import TextTable

COSTS = ("seconds", "peak_mem_mb")


@table
def resources(report: ReportData) -> TableContents | None:
    """Return every group's table; the numbers are in the leaderboard's file."""
    if not report.groups:
        return None
    return TableContents(texts=list(map(_table, report.groups, report.once(all_board_numbers))))


def _table(group: BoardGroup, board: pd.DataFrame) -> TextTable:
    numbers = summarize(group.frame, ["budget", "defense"], COSTS)
    numbers.insert(0, "all", "")
    texts = map(metric_text, numbers["metric"], numbers["mean"])
    numbers["text"] = with_missing(_marked(list(texts), numbers, group.frame), numbers)
    orders = {
        "all": [""],
        "defense": list(dict.fromkeys(board["defense"])),
        "budget": group.budgets,
    }
    layout = TableLayout(
        sections="all", rows="defense", columns="budget", metrics=COSTS, names=group.names
    )
    caption = "Seconds of the defense, and its peak memory in MB."
    blank = blank_table(f"Cost, {group.title}", "defense", caption, left_out_text(group.frame))
    return lay_out(numbers, layout, orders, blank)


def _marked(texts: list[str], numbers: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Return the texts, with a mark at seconds that were measured on a shared GPU."""
    shared = cells[is_counted(cells) & cells["shared"]]
    marked = {("seconds", *key) for key in shared[["budget", "defense"]].itertuples(index=False)}
    keys = numbers[["metric", "budget", "defense"]].itertuples(index=False, name=None)
    return [f"{text}§" if key in marked else text for text, key in zip(texts, keys, strict=True)]
