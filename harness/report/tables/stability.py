"""Stability: how far ACC and ASR move when a defense's hyperparameters do.

Each hyperparameter that a defense declares as ``varied`` is set to a third and to three times its
value, one at a time. The score is the mean over hyperparameters, factors and cells of the absolute
difference to the same cell with the defense as the study lists it; lower is more stable. A
definition of this benchmark: the "mean absolute difference score" of arXiv 2511.13143 is published
without a formula.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.metric_info import percent
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import is_counted
from harness.report.typeset.table import Row, Section, TextTable

PAIRED = [*GROUP, "budget", "victim", "seed", "draw"]
BY = [*GROUP, "budget", "defense"]
SETTING = ["parameter", "value"]
MOVED = ["acc_moved", "asr_moved"]
HEADER = ("defense", "ACC moved", "worst", "ASR moved", "worst", "with", "n")
CAPTION = (
    "Points, absolute: how far ACC and ASR move when one hyperparameter is a third or three times "
    "its value. moved: mean over hyperparameters, both values and cells; worst: the largest of "
    "them; with: the setting that moved ASR most; n: cells used of cells planned."
)


@table
def stability(report: ReportData) -> TableContents | None:
    """Return a table per group; None unless a study asks for stability."""
    if not report.variations:
        return None
    pairs = pd.concat(_pairs(report), ignore_index=True)
    numbers = pairs.groupby([*BY, *SETTING], sort=False, as_index=False).agg(
        acc_moved=("acc_moved", "mean"),
        acc_worst=("acc_moved", "max"),
        asr_moved=("asr_moved", "mean"),
        asr_worst=("asr_moved", "max"),
        n_cells=("asr_moved", "count"),
        n_planned=("asr_moved", "size"),
    )
    texts = [_table(group, group.only(pairs)) for group in report.groups]
    return TableContents(texts=texts, numbers=numbers)


def _pairs(report: ReportData) -> Iterator[pd.DataFrame]:
    """Yield, per changed defense, a row per cell; NaN where it or the unchanged cell has none."""
    cells = report.cells[report.cells["attacked"].eq(True)]
    scores = cells[["acc", "asr"]].where(is_counted(cells))
    cells = cells[[*PAIRED, "defense"]].assign(acc=scores["acc"], asr=scores["asr"])
    for varied in report.variations:
        own, base = (
            cells[cells["defense"].eq(name)].drop(columns="defense")
            for name in (varied.label, varied.base)
        )
        both = own.merge(base, on=PAIRED, suffixes=("", "_before"))
        yield both[PAIRED].assign(
            defense=varied.base,
            parameter=varied.parameter,
            value=varied.value,
            acc_moved=(both["acc"] - both["acc_before"]).abs(),
            asr_moved=(both["asr"] - both["asr_before"]).abs(),
        )


def _table(group: BoardGroup, pairs: pd.DataFrame) -> TextTable:
    sections = []
    for budget in group.budgets:
        at_budget = pairs[pairs["budget"].eq(budget)]
        score = at_budget.groupby("defense")["asr_moved"].mean().sort_values(kind="stable")
        rows = [_row(at_budget[at_budget["defense"].eq(x)], group, str(x)) for x in score.index]
        sections.append(Section(label=budget, rows=rows))
    return TextTable(
        title=f"{group.title}: stability",
        header=HEADER,
        sections=sections,
        caption=CAPTION,
        words=("with",),
    )


def _row(pairs: pd.DataFrame, group: BoardGroup, defense: str) -> Row:
    means, worst = pairs[MOVED].mean(), pairs[MOVED].max()
    n = f"{pairs['asr_moved'].count()}/{len(pairs)}"
    ranked = pairs.dropna(subset=MOVED).sort_values("asr_moved").to_dict("records")
    setting = f"{ranked[-1]['parameter']}={ranked[-1]['value']:g}" if ranked else "–"
    shown = (percent(x[name]) for name in MOVED for x in (means, worst))
    return (group.names.of("defense", defense), *shown, setting, n)
