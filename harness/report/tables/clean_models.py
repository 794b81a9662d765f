"""What each defense does to clean models, where there is nothing to remove."""

from __future__ import annotations

import pandas as pd

from harness.plan.spec import NO_ATTACK
from harness.report.frame.groups import display
from harness.report.frame.metric_info import number
from harness.report.typeset.table import Section, TextTable

PLACE = ["data", "model", "recipe", "budget", "defense"]
SHARES = ["acc_before", "acc", "drop", "changed", "asr_triggers", "ra_triggers"]
HEADER = ("budget", "defense", "ACC before", "ACC", "drop", "changed", "ASR", "RA")
CAPTION = (
    "Clean models, percent, means over seeds: what a defense costs where there is nothing to remove. "
    "changed: test images predicted otherwise than before; ASR and RA under the study's triggers."
)


def clean_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds on clean models, shares, one row per PLACE; empty without such models."""
    cells = frame[frame["attack"].eq(NO_ATTACK) & frame["status"].eq("ok")]
    cells = cells.assign(drop=cells["acc_before"] - cells["acc"])
    return cells.groupby(PLACE, sort=False)[SHARES].mean().reset_index()


def clean_sheets(numbers: pd.DataFrame) -> list[TextTable]:
    """Return one sheet, with one section per data set and model."""
    sections = [
        Section(
            label=" · ".join(map(str, place)), rows=[_row(line) for _, line in lines.iterrows()]
        )
        for place, lines in numbers.groupby(PLACE[:2], sort=False)
    ]
    return [TextTable(title="Clean models", header=HEADER, sections=sections, caption=CAPTION)]


def _row(line: pd.Series[float]) -> tuple[str, ...]:
    shares = (number(100 * line[name]) for name in SHARES)
    return (str(line["budget"]), display(str(line["defense"])), *shares)
