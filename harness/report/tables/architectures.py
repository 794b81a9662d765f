"""Defenses by attack, architecture and budget, for data sets with several architectures."""

from __future__ import annotations

from functools import partial
from itertools import groupby

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup, budgets
from harness.report.frame.report_data import ReportData
from harness.report.stats.published_means import PublishedMeans, published_rows_shown
from harness.report.tables.attacks import (
    all_attack_numbers,
    attack_caption,
    attack_order,
    section_order,
    with_sections,
)
from harness.report.tables.leaderboard import board_order
from harness.report.typeset.captions import left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, lay_out, present
from harness.report.typeset.latex import fits_page
from harness.report.typeset.published_rows import (
    names_with_published,
    published_note,
    with_published,
)
from harness.report.typeset.table import TextTable


@table
def architectures(report: ReportData) -> TableContents | None:
    """Return the tables of every data set; the numbers are in the file of the attacks."""
    texts = []
    each = zip(report.groups, report.once(all_attack_numbers), strict=True)
    for data, found in groupby(each, lambda pair: str(pair[0].frame["data"].iloc[0])):
        groups, numbers = map(list, zip(*found, strict=True))
        if len(groups) > 1:
            compared = report.once(published_rows_shown)
            whole = _numbers(data, groups, numbers)
            texts += _tables(data, whole, groups, board_order(report), compared)
    return TableContents(texts=texts) if texts else None


def _tables(
    data: str,
    numbers: pd.DataFrame,
    groups: list[BoardGroup],
    order: list[str],
    compared: PublishedMeans | None,
) -> list[TextTable]:
    """Return one table with the budgets side by side, or one per budget if that is too wide."""
    labels = list(dict.fromkeys(numbers["budget"]))
    side_by_side = numbers.assign(column=numbers["model"] + ", " + numbers["budget"])
    made = partial(_table, groups=groups, order=order, compared=compared)
    whole = made(f"Architectures, {data}", side_by_side)
    if len(labels) > 1 and fits_page(whole, groups[0].paper):
        return [whole]
    each = numbers.assign(column=numbers["model"])
    return [
        made(f"Architectures, {data}, {label}", each[each["budget"].eq(label)]) for label in labels
    ]


def _numbers(
    data: str, groups: list[BoardGroup], attack_numbers: list[pd.DataFrame]
) -> pd.DataFrame:
    """Return the numbers of every architecture, the smallest budget first."""
    models = [group.title.removeprefix(f"{data} · ") for group in groups]
    parts = [part.assign(model=model) for part, model in zip(attack_numbers, models, strict=True)]
    numbers = with_sections(pd.concat(parts, ignore_index=True), "attack", groups[0])
    labels = budgets(_cells(groups))
    places = pd.DataFrame(
        {"model": numbers["model"].map(models.index), "budget": numbers["budget"].map(labels.index)}
    )
    return numbers.loc[places.sort_values(["model", "budget"]).index]


def _table(
    title: str,
    numbers: pd.DataFrame,
    *,
    groups: list[BoardGroup],
    order: list[str],
    compared: PublishedMeans | None,
) -> TextTable:
    """Return one table: a section per attack, rows defenses; ``column`` names the columns."""
    layout = TableLayout(
        sections="section",
        rows="defense",
        columns="column",
        metrics=groups[0].paper.metrics,
        names=names_with_published(groups[0].names, order),
    )
    cells = _cells(groups)
    cells = cells[cells["budget"].isin(set(numbers["budget"]))]
    attacks = present(attack_order(cells), numbers, "attack")
    orders = {
        "section": section_order(numbers, "attack", attacks),
        "defense": present(list(with_published(order)), numbers, "defense"),
        "column": list(dict.fromkeys(numbers["column"])),
    }
    caption = attack_caption(groups, cells) + published_note(numbers, compared)
    blank = blank_table(title, "defense", caption, left_out_text(cells))
    return lay_out(numbers, layout, orders, blank)


def _cells(groups: list[BoardGroup]) -> pd.DataFrame:
    return pd.concat([group.frame for group in groups])
