"""Ablation: each defense that a study runs with several values of a hyperparameter."""

from __future__ import annotations

from harness.plan.names import NO_DEFENSE
from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.frame.sweeps import Sweep, report_sweeps
from harness.report.stats.means import summarize
from harness.report.typeset.captions import left_out_text, marks_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out
from harness.report.typeset.table import TextTable


@table
def hyperparameters(report: ReportData) -> TableContents | None:
    """Return a table per group and sweep; the numbers are in the leaderboard's file."""
    found = report.once(report_sweeps)
    texts = [
        _table(group, sweep)
        for group in report.groups
        for sweep in found
        if group.frame["defense"].isin(sweep.values).any()
    ]
    return TableContents(texts=texts) if texts else None


def _table(group: BoardGroup, sweep: Sweep) -> TextTable:
    """Return a sweep: rows are its values, columns budgets."""
    paper = group.paper
    shown = [NO_DEFENSE, *sweep.values]
    cells = group.frame[group.frame["defense"].isin(shown)]
    metrics = list(dict.fromkeys(("acc", *paper.metrics)))
    numbers = summarize(cells, ["budget", "defense"], metrics)
    numbers.insert(0, "all", "")
    numbers["text"] = cell_texts(numbers, group.extra_access, paper.margin)
    layout = TableLayout(
        sections="all", rows="defense", columns="budget", metrics=paper.metrics, names=group.names
    )
    orders = {"all": [""], "defense": shown, "budget": group.budgets}
    title = f"{group.names.of('defense', sweep.defense)}: {sweep.parameter}, {group.title}"
    default = "" if sweep.default is None else f" Default: {sweep.default}."
    caption = f"Percent, means over attacks and poison rates.{default} {marks_text(paper.margin)}"
    blank = blank_table(title, "defense", caption, left_out_text(cells))
    return lay_out(numbers, layout, orders, blank)
