"""What each defense does to clean models, where there is nothing to remove."""

from __future__ import annotations

import pandas as pd

from harness.plan.names import NO_ATTACK
from harness.report import TableContents, table
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.groups import GROUP
from harness.report.frame.metric_info import number
from harness.report.frame.report_data import ReportData
from harness.report.typeset.table import Row, Section, TextTable
from harness.store.record import Status

MEANS = ["acc_before", "acc", "drop", "changed", "asr_triggers", "ra_triggers"]
HEADER = ("budget", "defense", "ACC before", "ACC", "drop", "changed", "ASR", "RA")
CAPTION = (
    "Clean models, percent, means over seeds: what a defense costs where there is nothing to "
    "remove. changed: test images predicted otherwise than before; ASR and RA under the study's "
    "triggers."
)


@table
def clean(report: ReportData) -> TableContents | None:
    """Return one table, with one section per data set and model."""
    frame = report.frame[report.frame["attack"].eq(NO_ATTACK)]
    if frame.empty:
        return None
    numbers = clean_numbers(frame)
    sections = []
    for (data, model), rows in numbers.groupby(GROUP[:2], sort=False):
        label = f"{data} · {report.names.of('model', str(model))}"
        lines = [_row(row, report.names) for _, row in rows.iterrows()]
        sections.append(Section(label=label, rows=lines))
    text = TextTable(title="Clean models", header=HEADER, sections=sections, caption=CAPTION)
    return TableContents(texts=[text], numbers=numbers)


def clean_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds (shares), one row per group, budget and defense."""
    cells = frame[frame["status"].eq(Status.OK)]
    cells = cells.assign(drop=cells["acc_before"] - cells["acc"])
    by = [*GROUP, "budget", "defense"]
    return cells.groupby(by, sort=False)[MEANS].mean().reset_index()


def _row(row: pd.Series[float], names: DisplayNames) -> Row:
    shares = (number(100 * row[name]) for name in MEANS)
    return (str(row["budget"]), names.of("defense", str(row["defense"])), *shares)
