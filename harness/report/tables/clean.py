"""What each defense does to clean models, where there is nothing to remove."""

from __future__ import annotations

import pandas as pd

from harness.contract import Quantity
from harness.plan.names import NO_DEFENSE
from harness.report import TableContents, table
from harness.report.frame.groups import GROUP, BoardGroup, split_groups
from harness.report.frame.metric_info import QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.typeset.captions import left_out_text, spread_text, with_spread
from harness.report.typeset.table import Row, Section, TextTable

MEASURED = {
    "acc": QUANTITIES["acc"],
    "acc_change": QUANTITIES["acc_change"],
    "changed": Quantity("changed", -1),
    "asr_triggers": QUANTITIES["asr"],
    "ra_triggers": QUANTITIES["ra"],
    "seconds": QUANTITIES["seconds"],
}
BY = [*GROUP, "budget", "defense"]
HEADER = ("defense", *(quantity.label for quantity in MEASURED.values()), "n")
CAPTION = (
    "Models without a backdoor: what a defense costs where there is nothing to remove. Percent, "
    "means over models{spread}. changed: test images predicted otherwise than before; ASR and RA "
    "under the triggers of the study's attacks, if it has any. n: cells used of cells planned."
)


@table
def clean(report: ReportData) -> TableContents | None:
    """Return a table per data set, model and recipe, with one section per budget."""
    if report.clean.empty:
        return None
    return TableContents(texts=clean_tables(report), numbers=clean_numbers(report.clean))


def clean_tables(report: ReportData) -> list[TextTable]:
    """Return the tables as text; none without cells of clean models."""
    return list(map(_table, split_groups(report.clean, report.names, report.paper)))


def clean_numbers(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the means (shares) of clean models, one row per group, budget, defense and metric."""
    return summarize(cells, BY, list(MEASURED), quantities=MEASURED)


def _table(group: BoardGroup) -> TextTable:
    numbers = clean_numbers(group.frame)
    sections = [
        Section(label=budget, rows=_rows(numbers[numbers["budget"].eq(budget)], group))
        for budget in group.budgets
    ]
    texts = [text for section in sections for row in section.rows for text in row[1:]]
    spread = spread_text(group.frame, texts)
    return TextTable(
        title=f"{group.title}: clean models",
        header=HEADER,
        sections=sections,
        caption=CAPTION.format(spread=f"; {spread}" if spread else ""),
        left_out=left_out_text(group.frame),
    )


def _rows(numbers: pd.DataFrame, group: BoardGroup) -> list[Row]:
    """Return a budget's rows: no defense first, then the one that costs least ACC."""
    cost = numbers[numbers["metric"].eq("acc_change")].set_index("defense")["mean"]
    order = sorted(cost.index, key=lambda name: (name != NO_DEFENSE, -cost.fillna(-2)[name], name))
    return [
        _row(numbers[numbers["defense"].eq(name)].set_index("metric"), group, name)
        for name in order
    ]


def _row(metrics: pd.DataFrame, group: BoardGroup, defense: str) -> Row:
    texts = (with_spread(metrics.loc[x].to_dict(), MEASURED[x]) for x in MEASURED)
    n = f"{metrics['n_cells']['acc']}/{metrics['n_planned']['acc']}"
    return (group.names.of("defense", defense), *texts, n)
