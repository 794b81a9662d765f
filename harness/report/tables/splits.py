"""Defenses by data set and model, where there are several: one section per budget."""

from __future__ import annotations

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import budgets, extra_access
from harness.report.frame.metric_info import SCORES
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.tables.leaderboard import board_order
from harness.report.typeset.captions import attacks_text, best_text, left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out


@table
def splits(report: ReportData) -> TableContents | None:
    """Return the table; its numbers are in the leaderboard's file."""
    if len(report.groups) < 2:
        return None
    cells = report.attacked
    summaries = []
    for group in report.groups:
        summary = summarize(group.frame, ["budget", "defense"], SCORES)
        summary.insert(0, "group", group.title)
        summaries.append(summary)
    numbers = pd.concat(summaries, ignore_index=True)
    numbers["text"] = cell_texts(numbers, extra_access(cells), report.paper.margin)
    orders = {
        "budget": budgets(cells),
        "defense": board_order(report),
        "group": [group.title for group in report.groups],
    }
    layout = TableLayout(
        sections="budget", rows="defense", columns="group", metrics=SCORES, names=report.names
    )
    caption = f"Percent, means over {attacks_text(report.groups)}. {best_text(report.paper.margin)}"
    blank = blank_table("By data and model", "defense", caption, left_out_text(cells))
    return TableContents(texts=[lay_out(numbers, layout, orders, blank)])
