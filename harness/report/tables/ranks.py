"""Mean ranks of the defenses, one section per scope."""

from __future__ import annotations

import pandas as pd

from harness.plan.rank import Rank
from harness.report import TableContents, table
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.metric_info import COMPARED, QUANTITIES
from harness.report.frame.report_data import ReportData
from harness.report.stats.paired_tests import in_every_scope, ranks
from harness.report.typeset.table import Section, TextTable, mark_best

CAPTION = (
    "Mean rank over victims on which every defense here finished; 1 is best, ties share their "
    "mean. The undefended model, oracle and external methods, and victims that failed the gate "
    "take no part."
)


@table
def ranks_table(report: ReportData) -> TableContents | None:
    """Return the mean ranks, unless there is no defense to compare."""
    numbers = report.once(rank_numbers)
    if compared_defense(report) is None:
        return None
    texts = rank_tables(numbers, report.names, report.ranked_metric)
    return TableContents(texts=texts, numbers=numbers)


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


def rank_tables(numbers: pd.DataFrame, names: DisplayNames, by: str = Rank.by) -> list[TextTable]:
    """Return one table: rows defenses, the best rank first; columns metrics; sections scopes."""
    sections = []
    for scope, rows in numbers.groupby("scope", sort=False):
        ranked = rows.pivot_table(index="defense", columns="metric", values="rank")
        ranked = ranked.reindex(columns=list(COMPARED)).sort_values(
            [by, "acc" if by != "acc" else "asr"]
        )
        texts = [
            mark_best([f"{rank:.2f}" for rank in ranked[metric]], ranked[metric].tolist(), -1)
            for metric in COMPARED
        ]
        defenses = [names.of("defense", str(name)) for name in ranked.index]
        label = f"{scope}, {int(rows['n_victims'].iloc[0])} victims"
        sections.append(Section(label=label, rows=list(zip(defenses, *texts, strict=True))))
    if not sections:
        return []
    header = ("defense", *(QUANTITIES[name].label for name in COMPARED))
    return [TextTable(title="Mean ranks", header=header, sections=sections, caption=CAPTION)]
