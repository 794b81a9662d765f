"""Seconds and peak memory of every defense at every budget, one table per group."""

from __future__ import annotations

from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.typeset.captions import MARKS, left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out
from harness.report.typeset.table import TextTable

COSTS = ("seconds", "peak_mem_mb")


@table
def resources(report: ReportData) -> TableContents | None:
    """Return every group's table; the numbers are in the leaderboard's file."""
    if not report.groups:
        return None
    return TableContents(texts=[text for group in report.groups for text in _tables(group)])


def _tables(group: BoardGroup) -> list[TextTable]:
    numbers = summarize(group.frame, ["budget", "defense"], COSTS)
    numbers.insert(0, "all", "")
    numbers["text"] = cell_texts(numbers, group.extra_access)
    orders = {
        "all": [""],
        "defense": sorted(set(numbers["defense"])),
        "budget": group.budgets,
    }
    layout = TableLayout(
        sections="all", rows="defense", columns="budget", metrics=COSTS, names=group.names
    )
    caption = f"Seconds of the defense, and its peak memory in MB. {MARKS}"
    blank = blank_table(group.title, "defense", caption, left_out_text(group.frame))
    return lay_out(numbers, layout, orders, blank)
