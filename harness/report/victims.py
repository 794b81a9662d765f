"""The table of victims: what the attacks came to before any defense."""

from __future__ import annotations

import pandas as pd

from harness.report.parts import Part, split
from harness.report.quantities import percent
from harness.report.sheet import Row, Section, Sheet
from harness.report.statistics import summarize

SCORES = ["acc", "asr", "ra"]
PLACE = ["data", "model", "recipe", "attack", "rate", "target"]
HEADER = ("attack", "rate %", "target", "ACC", "ASR", "RA", "passed")


def victim_numbers(victims: pd.DataFrame) -> pd.DataFrame:
    """Return the statistics per attack and poison rate, of victims that failed the gate too."""
    cells = victims.assign(defense="", budget="", gate=float("nan"))
    return summarize(cells, PLACE, SCORES)


def victim_sheets(victims: pd.DataFrame) -> list[Sheet]:
    """Return one sheet, with one section per data set and model."""
    sections = [Section(label=part.title, rows=_rows(part)) for part in split(victims)]
    caption = (
        "Victims before any defense, percent: means over seeds, ± the 95 % interval. passed: victims that "
        "passed the gate, of those planned; the others are left out of every mean of the defenses."
    )
    found = Sheet(title="Victims", header=HEADER, sections=sections, caption=caption)
    return [found] if sections else []


def _rows(part: Part) -> list[Row]:
    table = victim_numbers(part.frame).to_dict("records")
    lines = {tuple(line[name] for name in (*PLACE, "metric")): line for line in table}
    rows = []
    for place, group in part.frame.groupby(PLACE, dropna=False):
        numbers = [lines[(*place, metric)] for metric in SCORES]
        passed = f"{int(group['gate'].astype(object).eq(True).sum())}/{len(group)}"
        attack, rate, target = place[3:]
        means = [percent(row["mean"], row["high"]) for row in numbers]
        rows.append((str(attack), f"{100 * float(str(rate)):g}", str(target), *means, passed))
    return rows
