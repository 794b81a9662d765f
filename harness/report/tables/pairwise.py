"""Tables of paired comparisons: ranks, and wins, ties and losses against one method."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from harness.report.frame.groups import budgets
from harness.report.frame.metric_info import COMPARED, QUANTITIES, number
from harness.report.stats.paired_tests import SIGNIFICANT, comparisons, competitors, ranks, scopes
from harness.report.typeset.table import BestText, Row, Section, TextTable, mark_best

HEADER = ("defense", "n", "win", "tie", "loss", "difference", "effect", "p")
RANKED = "der"
"""What decides which method is best, where one must be named."""


def comparison_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every two defenses by scope and metric (see ``paired``)."""
    return _everywhere(frame, comparisons)


def rank_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean ranks by scope and metric."""
    return _everywhere(frame, ranks)


def _everywhere(
    frame: pd.DataFrame, numbers: Callable[[pd.DataFrame, str], pd.DataFrame]
) -> pd.DataFrame:
    tables = [
        numbers(cells, metric).assign(scope=scope, metric=metric)
        for scope, cells in scopes(competitors(frame), budgets(frame))
        for metric in COMPARED
    ]
    if not tables:
        return pd.DataFrame(columns=["scope", "metric"])
    found = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    front = ["scope", "metric"]
    return found[[*front, *[name for name in found.columns if name not in front]]]


def best_ranked(numbers: pd.DataFrame) -> str | None:
    """Return the defense with the best mean rank over all budgets, or None where there is no rank."""
    rows = numbers[numbers["metric"].eq(RANKED)] if len(numbers) else numbers
    return (
        str(rows[rows["scope"].eq(rows["scope"].iloc[-1])]["defense"].iloc[0])
        if len(rows)
        else None
    )


def rank_sheets(numbers: pd.DataFrame) -> list[TextTable]:
    """Return one sheet of mean ranks: rows defenses, best DER first, columns metrics, sections scopes."""
    sections = []
    for scope, rows in numbers.groupby("scope", sort=False):
        table = rows.pivot_table(index="defense", columns="metric", values="rank")
        table = table.reindex(columns=list(COMPARED)).sort_values([RANKED, "acc"])
        columns = [
            mark_best([f"{x:.2f}" for x in table[name]], table[name].tolist(), -1) for name in COMPARED
        ]
        n = int(rows["n_victims"].iloc[0])
        sections.append(
            Section(
                label=f"{scope}, {n} victims", rows=list(zip(table.index, *columns, strict=True))
            )
        )
    caption = (
        "Mean rank over victims on which every defense here finished; 1 is best, ties share their mean. "
        "The undefended model, oracle and external methods, and victims that failed the gate take no part."
    )
    header = ("defense", *[QUANTITIES[name].label for name in COMPARED])
    return (
        [TextTable(title="Mean ranks", header=header, sections=sections, caption=caption)]
        if sections
        else []
    )


def duel_sheets(numbers: pd.DataFrame, chosen: str) -> list[TextTable]:
    """Return the chosen method against every other: one sheet per scope, one section per metric."""
    caption = (
        f"On the same victims and budgets; one difference per victim, in points, positive in favour of "
        f"{chosen}. effect: rank-biserial correlation. p: Wilcoxon signed-rank test, Holm's correction "
        "over all pairs "
        f"of defenses; bold below {SIGNIFICANT:g}."
    )
    found = []
    for scope, rows in numbers.groupby("scope", sort=False):
        sections = [
            Section(
                label=QUANTITIES[metric].label, rows=_duels(rows[rows["metric"].eq(metric)], chosen)
            )
            for metric in COMPARED
        ]
        kept = [section for section in sections if section.rows]
        title = f"{chosen} against each other defense, {scope}"
        found += (
            [TextTable(title=title, header=HEADER, sections=kept, caption=caption)] if kept else []
        )
    return found


def _duels(rows: pd.DataFrame, chosen: str) -> list[Row]:
    """Return one row per opponent, seen from the chosen method."""
    first = rows[rows["first"].eq(chosen)].rename(columns={"second": "other"})
    second = rows[rows["second"].eq(chosen)].rename(
        columns={"first": "other", "wins": "losses", "losses": "wins"}
    )
    flipped = second.assign(difference=-second["difference"], effect=-second["effect"])
    duels = pd.concat([first, flipped]).sort_values("other").to_dict("records")
    return [_duel(duel) for duel in duels]


def _duel(duel: dict[object, object]) -> Row:
    n, wins, ties, losses = (str(duel[name]) for name in ("n", "wins", "ties", "losses"))
    difference, effect, p = (float(str(duel[name])) for name in ("difference", "effect", "p_holm"))
    said = "–" if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "<0.001"
    sure = BestText(said) if p < SIGNIFICANT else said
    return (
        str(duel["other"]),
        n,
        wins,
        ties,
        losses,
        number(100 * difference),
        number(effect, 2),
        sure,
    )
