"""Defenses by attacks at every budget: the numbers of the IMS paper (arXiv 2509.15497)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.metric_info import COLLAPSED_DROP, METRICS, rate_text
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.stats.published_means import PublishedMeans, published_rows_shown
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.typeset.captions import (
    attacks_text,
    best_text,
    left_out_text,
    repeats_text,
)
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out, present
from harness.report.typeset.latex import fits_page
from harness.report.typeset.published_rows import (
    names_with_published,
    published_note,
    published_rows,
    with_published,
)
from harness.report.typeset.table import TextTable

MEAN = "mean"
"""The last attack of a poison rate: the mean over all of them."""


@table
def attacks(report: ReportData) -> TableContents | None:
    """Return every group's tables, the defenses in the order of its leaderboard."""
    if not report.groups:
        return None
    compared = report.once(published_rows_shown)
    boards, numbers = report.once(all_board_numbers), report.once(all_attack_numbers)
    texts = [
        text
        for each in zip(report.groups, boards, numbers, strict=True)
        for text in attack_tables(*each, compared)
    ]
    by = [*GROUP, "budget", "rate", "attack", "defense"]
    return TableContents(texts=texts, numbers=summarize(report.attacked, by, METRICS))


def attack_tables(
    group: BoardGroup,
    board: pd.DataFrame,
    summary: pd.DataFrame,
    compared: PublishedMeans | None = None,
) -> list[TextTable]:
    """Return a group's tables in the paper's layout: ``panels``, or a ``list``.

    Where the paper leaves it open, panels if each of them fits the page, else a list if there are
    several budgets and it fits; otherwise panels, which are then split.

    Args:
        group: what is shown.
        board: the numbers of the group's leaderboard, for the order of the defenses.
        summary: its ``attack_numbers``.
        compared: the report's means with a published counterpart, if those are to be rows.
    """
    fits = partial(fits_page, paper=group.paper)
    group = replace(group, names=names_with_published(group.names, group.frame["defense"].unique()))
    layout = group.paper.layout
    if layout == "list":
        return [_attack_list(group, board, summary, compared)]
    panels = _panels(group, board, summary, compared)
    if layout == "auto" and len(group.budgets) > 1 and not all(map(fits, panels)):
        whole = _attack_list(group, board, summary, compared)
        return [whole] if fits(whole) else panels
    return panels


def _panels(
    group: BoardGroup, board: pd.DataFrame, summary: pd.DataFrame, compared: PublishedMeans | None
) -> list[TextTable]:
    """Return one table per budget: a section per poison rate, rows defenses, columns attacks.

    Where the paper asks for it, rows are attacks and columns defenses.
    """
    paper = group.paper
    rows, columns = ("defense", "attack") if paper.rows == "defenses" else ("attack", "defense")
    layout = TableLayout(
        sections="rate", rows=rows, columns=columns, metrics=paper.metrics, names=group.names
    )
    tables = []
    for budget in group.budgets:
        cells = group.frame[group.frame["budget"].eq(budget)]
        numbers = summary[summary["budget"].eq(budget)]
        board_order = board.loc[board["budget"].eq(budget), "defense"].tolist()
        orders = {
            "rate": rate_order(cells),
            "attack": present(attack_order(cells), numbers, "attack"),
            "defense": present(list(with_published(board_order)), numbers, "defense"),
        }
        title = f"Defenses by attack, {group.title}, {budget}"
        caption = attack_caption([group], cells) + published_note(numbers, compared)
        blank = blank_table(title, rows, caption, left_out_text(cells))
        tables.append(lay_out(numbers, layout, orders, blank))
    return tables


def _attack_list(
    group: BoardGroup, board: pd.DataFrame, summary: pd.DataFrame, compared: PublishedMeans | None
) -> TextTable:
    """Return one table with the budgets side by side: a section per attack, rows defenses.

    Where the paper asks for it, a section per defense, and rows attacks. Attacks whose victims all
    failed the gate are left out.
    """
    paper, cells = group.paper, group.frame
    by_defense = paper.rows == "attacks"
    first, rows = ("defense", "attack") if by_defense else ("attack", "defense")
    attacks_shown = attack_order(cells[cells["reason"].ne("gate")])
    numbers = with_sections(summary[summary["attack"].isin(attacks_shown)], first, group)
    orders = {
        "attack": present(attacks_shown, numbers, "attack"),
        "defense": present(list(with_published(board["defense"])), numbers, "defense"),
        "budget": group.budgets,
    }
    orders["section"] = section_order(numbers, first, orders[first])
    layout = TableLayout(
        sections="section", rows=rows, columns="budget", metrics=paper.metrics, names=group.names
    )
    title = f"Defenses by attack, {group.title}"
    caption = attack_caption([group], cells) + published_note(numbers, compared)
    blank = blank_table(title, rows, caption, left_out_text(cells))
    return lay_out(numbers, layout, orders, blank)


def attack_order(cells: pd.DataFrame) -> list[str]:
    """Return the labels of the attacks in the order of every table, their mean last."""
    return [*sorted(cells["attack"].unique()), MEAN]


def attack_caption(groups: Sequence[BoardGroup], cells: pd.DataFrame) -> str:
    """Return what the numbers of attacks are, and which attacks their mean is over."""
    mean = ""
    if cells["attack"].nunique() > 1:
        of_its_rate = ", those of its poison rate" if len(rate_order(cells)) > 1 else ""
        mean = f" mean: over {attacks_text(groups)}{of_its_rate}."
    repeats, best = repeats_text(cells), best_text(groups[0].paper.margin)
    return f"Percent, means over {repeats}.{mean} {best}"


def rate_labels(cells: pd.DataFrame) -> pd.Series[str]:
    """Return what a cell's poison rate is called; attacks of one rate each are together."""
    rates = cells["rate"]
    if cells.groupby("attack")["rate"].nunique(dropna=False).max() == 1:
        return pd.Series(f"poison rate {rate_text(*rates.unique())}", index=cells.index)
    return rates.map({rate: f"poison rate {rate_text(rate)}" for rate in rates.unique()})


def rate_order(cells: pd.DataFrame) -> list[str]:
    """Return the labels of the poison rates, the smallest first."""
    each = cells.drop_duplicates(["attack", "rate"]).sort_values("rate", kind="stable")
    return list(dict.fromkeys(rate_labels(each)))


def section_order(numbers: pd.DataFrame, column: str, labels: list[str]) -> list[str]:
    """Return the sections of ``with_sections`` in the order of the column's labels."""
    places = numbers[column].map(labels.index).sort_values(kind="stable").index
    return list(dict.fromkeys(numbers.loc[places, "section"]))


def with_sections(summary: pd.DataFrame, column: str, group: BoardGroup) -> pd.DataFrame:
    """Return a summary with the column ``section``: a name, and the poison rate if they differ."""
    names = summary[column].map(lambda label: group.names.of(column, label))
    several = summary["rate"].nunique() > 1
    return summary.assign(section=names + ", " + summary["rate"] if several else names)


def all_attack_numbers(report: ReportData) -> list[pd.DataFrame]:
    """Return the ``attack_numbers`` of every group, for ``ReportData.once``."""
    compared = report.once(published_rows_shown)
    return [attack_numbers(group, compared) for group in report.groups]


def attack_numbers(group: BoardGroup, compared: PublishedMeans | None = None) -> pd.DataFrame:
    """Return ``attack_summary``, and with it the published numbers if those are to be rows."""
    summary = attack_summary(group)
    if compared is None:
        return summary
    rates = group.frame[["attack", "rate"]].assign(name=rate_labels(group.frame))
    rows = published_rows(summary[summary["attack"].ne(MEAN)], rates, group, compared)
    return pd.concat([summary, rows[rows["metric"].isin(group.paper.metrics)]], ignore_index=True)


def attack_summary(group: BoardGroup) -> pd.DataFrame:
    """Return the numbers of each attack and of their mean, with their texts.

    The mean weighs every attack of its poison rate the same, a single attack has none; where every
    attack has one rate, it is over all of them.
    """
    shown = group.paper.metrics
    cells = group.frame.assign(rate=rate_labels(group.frame))
    metrics = list(dict.fromkeys(("acc", *shown, "acc_change")))
    each = summarize(cells, ["budget", "rate", "attack", "defense"], metrics)
    n_attacks = cells.groupby(["budget", "rate"], dropna=False)["attack"].transform("nunique")
    mean = summarize(cells[n_attacks.gt(1)], ["budget", "rate", "defense"], metrics)
    mean = mean.assign(attack=MEAN)[each.columns]
    summary = pd.concat([each, mean], ignore_index=True)
    texts = cell_texts(summary, group.extra_access, group.paper.margin)
    marked = _with_falls(summary.assign(text=texts))
    return marked[marked["metric"].isin(shown)]


def _with_falls(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary with a mark at every ACC that fell too far; the texts keep their types."""
    columns = ["budget", "rate", "attack", "defense"]
    marked_falls = summary["metric"].eq("acc_change") & summary["mean"].lt(-COLLAPSED_DROP)
    keys = pd.MultiIndex.from_frame(summary[columns])
    marked = summary["metric"].eq("acc") & keys.isin(keys[marked_falls])
    texts = summary["text"].tolist()
    marks = [type(t)(f"{t}‡") if mark else t for t, mark in zip(texts, marked, strict=True)]
    return summary.assign(text=pd.Series(marks, index=summary.index, dtype=object))
