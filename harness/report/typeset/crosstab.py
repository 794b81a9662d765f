"""Tables with a block of numbers per column: attacks by defenses, defenses by model, cost by budget."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import display
from harness.report.frame.metric_info import QUANTITIES, shown
from harness.report.stats.means import REASONS
from harness.report.typeset.table import Row, Section, TextTable, mark_best

COLUMNS_NUMBERS = 12
"""Columns of numbers that a page's width takes."""
MARKS = (
    "Best in bold, second underlined, among defenses that need clean images alone. "
    "†: fewer cells than planned; a word instead of a number: why there is none."
)


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """Which columns of a summary span the table."""

    sections: str
    rows: str
    columns: str
    metrics: tuple[str, ...]


def cell_texts(table: pd.DataFrame, apart: Collection[str]) -> pd.Series[str]:
    """Return each number of a summary as a text, the best and second best defense of each place marked.

    ``table`` has one row per defense, metric and place (all other columns before ``metric``). The
    defenses ``apart`` and the undefended model are shown but not ranked.
    """
    place = [name for name in table.columns[: table.columns.get_loc("metric")] if name != "defense"]
    groups = table.groupby([*place, "metric"], sort=False, dropna=False).ngroup()
    mean, metrics = table["mean"].to_numpy(dtype=float), table["metric"].tolist()
    rivals = table["mean"].mask(table["defense"].isin([NO_DEFENSE, *apart])).to_numpy(dtype=float)
    found = np.empty(len(table), dtype=object)
    for rows in table.groupby(groups.to_numpy()).indices.values():
        metric = metrics[rows[0]]
        plain = [shown(metric, value) for value in mean[rows]]
        found[rows] = mark_best(plain, rivals[rows].tolist(), QUANTITIES[metric].better)
    return pd.Series(_noted(found, table), index=table.index, dtype=object)


def _noted(cell_texts: np.ndarray[Any, Any], table: pd.DataFrame) -> list[str]:
    """Return the numbers' texts with what is missing from them, or the reason why there is no number."""
    used, planned = table["n_cells"].tolist(), table["n_planned"].tolist()
    most = table[REASONS].to_numpy().argmax(axis=1)
    return [
        REASONS[reason] if not n else type(text)(f"{text}†") if n != whole else text
        for text, n, whole, reason in zip(cell_texts, used, planned, most, strict=True)
    ]


def text_tables(
    table: pd.DataFrame, layout: TableLayout, orders: dict[str, list[str]], sheet: TextTable
) -> list[TextTable]:
    """Lay out a summary with the column ``text``; as many sheets as its columns need.

    ``orders`` gives the values of the layout's columns in the order wanted; ``sheet`` gives title,
    caption and what is left out, and the name of the first column as its header.
    """
    keys = [layout.sections, layout.rows, layout.columns, "metric"]
    text = {tuple(key): value for *key, value in table[[*keys, "text"]].itertuples(index=False)}
    columns = orders[layout.columns]
    pieces = -(-len(columns) * len(layout.metrics) // COLUMNS_NUMBERS)
    blocks = [list(map(str, block)) for block in np.array_split(columns, pieces)]
    return [
        _sheet(
            text,
            layout,
            {**orders, layout.columns: block},
            replace(sheet, title=_part(sheet, place, pieces)),
        )
        for place, block in enumerate(blocks, start=1)
    ]


def _part(sheet: TextTable, place: int, pieces: int) -> str:
    return f"{sheet.title}, part {place} of {pieces}" if pieces > 1 else sheet.title


def _sheet(
    text: dict[tuple[str, ...], str],
    layout: TableLayout,
    orders: dict[str, list[str]],
    sheet: TextTable,
) -> TextTable:
    columns = orders[layout.columns]

    def row(section: str, name: str) -> Row | None:
        places = [
            (section, name, column, metric) for column in columns for metric in layout.metrics
        ]
        numbers = [text.get(place, "") for place in places]
        return (_named(layout.rows, name), *numbers) if any(numbers) else None

    sections = [
        Section(
            label=label, rows=[found for name in orders[layout.rows] if (found := row(label, name))]
        )
        for label in orders[layout.sections]
    ]
    labels = [QUANTITIES[metric].label for metric in layout.metrics]
    return TextTable(
        title=sheet.title,
        header=(*sheet.header, *labels * len(columns)),
        spans=(("", 1), *[(_named(layout.columns, column), len(labels)) for column in columns]),
        sections=[section for section in sections if section.rows],
        caption=sheet.caption,
        left_out=sheet.left_out,
    )


def _named(kind: str, name: str) -> str:
    return display(name) if kind == "defense" else name


def heading(title: str, first: str, caption: str, left_out: str = "") -> TextTable:
    """Return what ``text_tables`` takes as title, first column and captions."""
    return TextTable(title=title, header=(first,), sections=[], caption=caption, left_out=left_out)


def ordered(names: Sequence[str], table: pd.DataFrame, column: str) -> list[str]:
    """Return those of ``names`` that the table has in ``column``, in the given order."""
    there = set(table[column])
    return [name for name in dict.fromkeys(names) if name in there]
