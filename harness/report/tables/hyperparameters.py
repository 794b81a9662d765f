"""Ablation: every defense that a study runs with several values of hyperparameters."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.report import TableContents, table
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.frame.sweeps import Sweep, report_sweeps
from harness.report.stats.means import summarize
from harness.report.typeset.captions import attacks_text, best_text, left_out_text
from harness.report.typeset.crosstab import TableLayout, blank_table, cell_texts, lay_out
from harness.report.typeset.table import TextTable


@table
def hyperparameters(report: ReportData) -> TableContents | None:
    """Return a table per group and defense; the numbers are in the leaderboard's file."""
    by_defense = [
        list(found) for _, found in groupby(report.once(report_sweeps), lambda sweep: sweep.defense)
    ]
    texts = [
        _table(group, sweeps)
        for group in report.groups
        for sweeps in by_defense
        if group.frame["defense"].isin([label for sweep in sweeps for label in sweep.values]).any()
    ]
    return TableContents(texts=texts) if texts else None


def _table(group: BoardGroup, sweeps: list[Sweep]) -> TextTable:
    """Return the sweeps of a defense: a section for each, rows are values, columns budgets.

    Above them are no defense and the setting that several sweeps share.
    """
    paper, name = group.paper, group.names.of("defense", sweeps[0].defense)
    entries = Counter(label for sweep in sweeps for label in sweep.values)
    labels = [NO_DEFENSE, *entries]
    head = [NO_DEFENSE, *(label for label, count in entries.items() if count > 1)]
    cells = group.frame[group.frame["defense"].isin(labels)]
    parts = [_numbers(cells, "", head, group)]
    for sweep in sweeps:
        numbers = _numbers(cells, _heading(sweep), [NO_DEFENSE, *sweep.values], group)
        parts.append(numbers[~numbers["defense"].isin(head)])
    numbers = pd.concat(parts, ignore_index=True)
    layout = TableLayout(
        sections="sweep", rows="defense", columns="budget", metrics=paper.metrics, names=group.names
    )
    orders = {
        "sweep": list(dict.fromkeys(numbers["sweep"])),
        "defense": labels,
        "budget": group.budgets,
    }
    caption = (
        f"Percent, means over {attacks_text([group])}; one hyperparameter differs in "
        f"each part. {best_text(paper.margin)}"
    )
    blank = blank_table(f"{name}, {group.title}", "defense", caption, left_out_text(cells))
    return lay_out(numbers, layout, orders, blank)


def _heading(sweep: Sweep) -> str:
    default = "" if sweep.default is None else f", default {sweep.default}"
    return f"{sweep.parameter}{default}"


def _numbers(
    cells: pd.DataFrame, heading: str, shown: list[str], group: BoardGroup
) -> pd.DataFrame:
    """Return the numbers of one section, the best marked among what is compared there."""
    own, paper = cells[cells["defense"].isin(shown)], group.paper
    numbers = summarize(own, ["budget", "defense"], list(dict.fromkeys(("acc", *paper.metrics))))
    numbers.insert(0, "sweep", heading)
    return numbers.assign(text=cell_texts(numbers, group.extra_access, paper.margin))
