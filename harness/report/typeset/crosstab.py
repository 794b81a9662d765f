"""Tables with a block of metrics per column: attacks by defenses, defenses by model, by budget."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.metric_info import QUANTITIES, metric_text
from harness.report.stats.means import REASONS
from harness.report.typeset.marks import MARKS
from harness.report.typeset.table import Row, Section, TextTable, mark_best


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """Which columns of a summary become sections, rows and columns of the table."""

    sections: str
    rows: str
    columns: str
    metrics: tuple[str, ...]
    names: DisplayNames


def cell_texts(table: pd.DataFrame, extra_access: Collection[str], margin: float) -> pd.Series[str]:
    """Return each number of a summary as text, with the best and second best defenses marked.

    ``table`` has one row per defense, metric and combination of the columns before ``metric``; ACC
    is among the metrics. Within such a combination the defenses are ranked, but for those with
    ``extra_access``, those whose ACC is more than ``margin`` below the undefended model's, and
    that model itself.
    """
    columns = table.columns[: table.columns.get_loc("metric")]
    keys = [name for name in columns if name != "defense"]
    groups = table.groupby([*keys, "metric"], sort=False, dropna=False).ngroup()
    mean, metrics = table["mean"].to_numpy(dtype=float), table["metric"].tolist()
    unranked = table["defense"].isin([NO_DEFENSE, *extra_access]) | _collapsed(table, keys, margin)
    ranked = table["mean"].mask(unranked).to_numpy(dtype=float)
    texts = np.empty(len(table), dtype=object)
    for rows in table.groupby(groups.to_numpy()).indices.values():
        metric = metrics[rows[0]]
        plain = [metric_text(metric, value) for value in mean[rows]]
        texts[rows] = mark_best(plain, ranked[rows].tolist(), QUANTITIES[metric].better)
    return pd.Series(with_missing(list(texts), table), index=table.index, dtype=object)


def _collapsed(table: pd.DataFrame, keys: list[str], margin: float) -> pd.Series[bool]:
    """Tell of each row whether its defense's ACC is more than the margin below the victim's."""
    columns = [*keys, "defense"]
    acc = table[table["metric"].eq("acc")].set_index(columns)["mean"]
    own = acc.reindex(pd.MultiIndex.from_frame(table[columns])).to_numpy(dtype=float)
    undefended = pd.MultiIndex.from_frame(table[columns].assign(defense=NO_DEFENSE))
    before = acc.reindex(undefended).to_numpy(dtype=float)
    return pd.Series(own < before - margin - 1e-12, index=table.index)


def with_missing(texts: Sequence[Any], table: pd.DataFrame) -> list[str]:
    """Return the texts with a mark if cells are missing, or the reason if there is no number.

    Victims that failed the gate are missed by every defense alike, and have no mark.
    """
    used, possible = table["n_cells"].tolist(), (table["n_planned"] - table["gate"]).tolist()
    main_reason = table[REASONS].to_numpy().argmax(axis=1)
    return [
        REASONS[reason] if not n else type(text)(f"{text}†") if n < most else text
        for text, n, most, reason in zip(texts, used, possible, main_reason, strict=True)
    ]


def lay_out(
    summary: pd.DataFrame, layout: TableLayout, orders: dict[str, list[str]], blank: TextTable
) -> TextTable:
    """Lay out a summary with the column ``text``; the caption also says what its marks mean.

    ``orders`` gives the values of the layout's columns in order; ``blank`` gives title, caption,
    what is left out, and the heading of the first column as its header.
    """
    keys = [layout.sections, layout.rows, layout.columns, "metric"]
    texts = dict(
        zip(
            zip(*(summary[key].tolist() for key in keys), strict=True), summary["text"], strict=True
        )
    )
    columns = orders[layout.columns]

    def row(section: str, label: str) -> Row | None:
        cells = [
            (section, label, column, metric) for column in columns for metric in layout.metrics
        ]
        numbers = [texts.get(cell, "") for cell in cells]
        return (layout.names.of(layout.rows, label), *numbers) if any(numbers) else None

    sections = []
    for section in orders[layout.sections]:
        rows = [row(section, label) for label in orders[layout.rows]]
        if any(rows):
            sections.append(Section(label=section, rows=[cells for cells in rows if cells]))
    metrics = [QUANTITIES[metric].label for metric in layout.metrics]
    headings = [(layout.names.of(layout.columns, column), len(metrics)) for column in columns]
    shown = chain.from_iterable(cells[1:] for section in sections for cells in section.rows)
    return replace(
        blank,
        caption=_with_marks(blank.caption, shown),
        header=(*blank.header, *metrics * len(columns)),
        spans=(("", 1), *headings),
        sections=sections,
    )


def _with_marks(caption: str, texts: Iterable[str]) -> str:
    """Return a caption that says what the marks and words among the texts of a table mean."""
    cells = set(texts)
    shown = "".join(cells)
    notes = [note for mark, note in MARKS.items() if mark in shown]
    if cells.intersection(REASONS):
        notes.append("A word instead of a number: why there is none.")
    return " ".join([caption, *notes])


def blank_table(title: str, first: str, caption: str, left_out: str = "") -> TextTable:
    """Return what ``lay_out`` takes title, first column and captions from."""
    return TextTable(title=title, header=(first,), sections=[], caption=caption, left_out=left_out)


def present(labels: Sequence[str], table: pd.DataFrame, column: str) -> list[str]:
    """Return those of ``labels`` that the table has in ``column``, in the given order."""
    there = set(table[column].unique())
    return [label for label in dict.fromkeys(labels) if label in there]
