"""Wins, ties and losses of one defense against each other one, one table per scope."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.metric_info import COMPARED, QUANTITIES, number
from harness.report.frame.report_data import ReportData
from harness.report.stats import paired_tests
from harness.report.stats.paired_tests import SIGNIFICANT, in_every_scope
from harness.report.tables.leaderboard import board_order
from harness.report.tables.ranks import compared_defense
from harness.report.typeset.table import BestText, Row, Section, TextTable

HEADER = ("defense", "n", "win", "tie", "loss", "difference", "effect", "p")


@table
def comparisons(report: ReportData) -> TableContents | None:
    """Return every pair of defenses as numbers, and those with the compared one as text."""
    defense = compared_defense(report)
    if defense is None:
        return None
    numbers = in_every_scope(report.attacked, paired_tests.comparisons)
    if numbers.empty:
        return None
    texts = comparison_tables(numbers, defense, report.names, board_order(report))
    return TableContents(texts=texts, numbers=numbers)


def comparison_tables(
    numbers: pd.DataFrame, defense: str, names: DisplayNames, order: Sequence[str]
) -> list[TextTable]:
    """Return a defense against each other one: a table per scope, a section per metric."""
    name = names.of("defense", defense)
    caption = (
        f"On the same victims and budgets; one difference per victim, in points, positive in "
        f"favour of {name}. effect: rank-biserial correlation. p: Wilcoxon signed-rank test, "
        f"Holm's correction over all pairs of defenses; bold below {SIGNIFICANT:g}."
    )
    tables = []
    for scope, pairs in numbers.groupby("scope", sort=False):
        sections = []
        for metric in COMPARED:
            rows = _rows(pairs[pairs["metric"].eq(metric)], defense, names, order)
            if rows:
                sections.append(Section(label=QUANTITIES[metric].label, rows=rows))
        if sections:
            title = f"{name} against each other defense, {scope}"
            tables.append(TextTable(title=title, header=HEADER, sections=sections, caption=caption))
    return tables


def _rows(
    pairs: pd.DataFrame, defense: str, names: DisplayNames, order: Sequence[str]
) -> list[Row]:
    """Return one row per opponent, from the point of view of ``defense``."""
    first = pairs[pairs["first"].eq(defense)].rename(columns={"second": "other"})
    second = pairs[pairs["second"].eq(defense)].rename(
        columns={"first": "other", "wins": "losses", "losses": "wins"}
    )
    flipped = second.assign(difference=-second["difference"], effect=-second["effect"])
    opponents = pd.concat([first, flipped]).sort_values("other", key=lambda x: x.map(order.index))
    return [_row(opponent, names) for opponent in opponents.to_dict("records")]


def _row(pair: dict[object, object], names: DisplayNames) -> Row:
    difference, effect, p = (float(str(pair[name])) for name in ("difference", "effect", "p_holm"))
    p_text = "–" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001"
    return (
        names.of("defense", str(pair["other"])),
        str(pair["n"]),
        str(pair["wins"]),
        str(pair["ties"]),
        str(pair["losses"]),
        number(100 * difference),
        number(effect, 2),
        BestText(p_text) if p < SIGNIFICANT else p_text,
    )
