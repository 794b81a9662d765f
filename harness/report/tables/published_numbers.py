"""A study's means beside published ones of the same data, model, attack, poison rate, defense."""

from __future__ import annotations

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, SCORES, number
from harness.report.frame.report_data import ReportData
from harness.report.stats.published_means import PublishedMeans, published_means
from harness.report.tables.leaderboard import board_order
from harness.report.typeset.table import Row, Section, TextTable

HEADER = ("attack", "rate %", "defense", *("ours", "published") * len(SCORES))


@table
def published_numbers(report: ReportData) -> TableContents | None:
    """Return one table per group with a section per budget; None if nothing has a counterpart."""
    compared = report.once(published_means)
    if compared.rows.empty:
        return None
    order = board_order(report)
    rows = compared.rows.sort_values("defense", key=lambda x: x.map(order.index))
    rows = rows.sort_values(["attack", "rate"], kind="stable")
    texts = [
        _text(group, found, compared) for group in report.groups if len(found := group.only(rows))
    ]
    return TableContents(texts=texts, numbers=rows)


def _text(group: BoardGroup, rows: pd.DataFrame, compared: PublishedMeans) -> TextTable:
    sections = [
        Section(
            label=budget,
            rows=[_row(row, group) for _, row in rows[rows["budget"].eq(budget)].iterrows()],
        )
        for budget in group.budgets_in(rows)
    ]
    return TextTable(
        title=f"Published numbers, {group.title}",
        header=HEADER,
        sections=sections,
        caption=f"Percent, ours means over seeds. {compared.protocol}",
        left_out=compared.left_out(),
        words=("defense",),
        spans=(("", 3), *((QUANTITIES[name].label, 2) for name in SCORES)),
    )


def _row(row: pd.Series[float], group: BoardGroup) -> Row:
    scores = (number(row[name]) for score in SCORES for name in (score, f"published_{score}"))
    names = (group.names.of(column, str(row[column])) for column in ("attack", "defense"))
    attack, defense = names
    return (attack, f"{100 * row['rate']:g}", defense, *scores)
