"""Mean ranks of the defenses, one section per scope."""

from __future__ import annotations

import pandas as pd

from harness.plan.rank import Rank
from harness.report import TableContents, table
from harness.report.frame.groups import budgets
from harness.report.frame.metric_info import COMPARED, QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.stats.paired_tests import competitors, in_every_scope, ranks, scopes
from harness.report.tables.leaderboard import board_order
from harness.report.typeset.crosstab import present
from harness.report.typeset.table import Section, TextTable, mark_best

CAPTION = (
    "Mean rank over victims on which every defense here finished; 1 is best, ties share their "
    "mean. The undefended model, oracle and external methods, and victims that failed the gate "
    "take no part. Best in bold, second underlined, among defenses that lose at most {margin:g} "
    "points of ACC on average; in the order of the board."
)


@table
def ranks_table(report: ReportData) -> TableContents | None:
    """Return the mean ranks, unless there is no defense to compare."""
    numbers = report.once(rank_numbers)
    if compared_defense(report) is None:
        return None
    return TableContents(texts=_texts(report, numbers), numbers=numbers)


def rank_numbers(report: ReportData) -> pd.DataFrame:
    """Return the mean ranks by scope and metric."""
    return in_every_scope(report.attacked, ranks)


def compared_defense(report: ReportData) -> str | None:
    """Return the defense that is compared with each other one; None where nothing is ranked."""
    if not report.groups:
        return None
    return report.against or best_ranked(report.once(rank_numbers), report.ranked_metric)


def best_ranked(numbers: pd.DataFrame, metric: str = Rank.by) -> str | None:
    """Return the defense with the best mean rank over all budgets, or None without ranks."""
    rows = numbers[numbers["metric"].eq(metric)] if len(numbers) else numbers
    if rows.empty:
        return None
    widest = rows["scope"].iloc[-1]
    return str(rows[rows["scope"].eq(widest)]["defense"].iloc[0])


def _texts(report: ReportData, numbers: pd.DataFrame) -> list[TextTable]:
    """Return one table: rows defenses, columns metrics, sections scopes; none without ranks."""
    sections = []
    cells = report.attacked
    for scope, competing in scopes(competitors(cells), budgets(cells)):
        rows = numbers[numbers["scope"].eq(scope) & numbers["rank"].notna()]
        if len(rows):
            sections.append(_section(report, scope, rows, competing))
    if not sections:
        return []
    header = ("defense", *(QUANTITIES[name].label for name in COMPARED))
    caption = CAPTION.format(margin=100 * report.paper.margin)
    return [TextTable(title="Mean ranks", header=header, sections=sections, caption=caption)]


def _section(
    report: ReportData, scope: str, rows: pd.DataFrame, competing: pd.DataFrame
) -> Section:
    """Return the ranks of one scope; what collapsed has ranks, and is never the best."""
    ranks_of = rows.pivot_table(index="defense", columns="metric", values="rank")
    ranks_of = ranks_of.loc[present(board_order(report), rows, "defense")]
    change = competing.groupby("defense")["acc_change"].mean().reindex(ranks_of.index)
    collapsed = change.lt(-report.paper.margin)
    texts = [
        mark_best(
            [f"{rank:.2f}" for rank in ranks_of[metric]],
            ranks_of[metric].mask(collapsed).tolist(),
            -1,
        )
        for metric in COMPARED
    ]
    names = [report.names.of("defense", str(label)) for label in ranks_of.index]
    label = f"{scope}, {int(rows['n_victims'].iloc[0])} victims"
    return Section(label=label, rows=list(zip(names, *texts, strict=True)))
