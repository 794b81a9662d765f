"""The table of victims: what each attack came to before any defense, how visible it is, and the gate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report.frame.frame import SCORES
from harness.report.frame.groups import BoardGroup, split_groups
from harness.report.frame.metric_info import number
from harness.report.typeset.table import Row, Section, TextTable

PLACE = ["attack", "rate", "target"]
MEANS = ["acc", "clean_acc", "asr", "ra", "psnr", "ssim", "linf", "seconds"]
HEADER = (
    *("attack", "rate %", "target", "ACC", "clean ACC", "ASR", "RA"),
    *("PSNR", "SSIM", "L-inf", "sec", "gate"),
)
CAPTION = (
    "Victims before any defense: means over seeds; ACC, ASR, RA in percent. PSNR (dB), SSIM and L-inf (8-bit "
    "steps) between clean and triggered test images; sec: seconds of training. gate: passed, or not "
    "planted, with how many of the victims where they differ; what is not planted is in no mean of a defense."
)
TOLD = (
    "ACC, ASR and RA in percent: as evaluated here, as the last line of the record's own attack_df.csv says, "
    "and the first less the second."
)


def victim_sheets(victims: pd.DataFrame) -> list[TextTable]:
    """Return one sheet, with one section per data set and model."""
    sections = [Section(label=part.title, rows=_rows(part)) for part in split_groups(victims)]
    sheets = (
        [TextTable(title="Victims", header=HEADER, sections=sections, caption=CAPTION)]
        if sections
        else []
    )
    told = victims[victims[[f"{name}_reported" for name in SCORES]].notna().any(axis=1)]
    return [*sheets, _told(told)] if len(told) else sheets


def _told(victims: pd.DataFrame) -> TextTable:
    """Return the sheet of imported victims: our numbers beside those of their own record."""
    rows = [
        (str(line["attack"]), *(text for name in SCORES for text in _compared(line, name)))
        for _, line in victims.iterrows()
    ]
    header = (
        "attack",
        *(text for name in SCORES for text in (name.upper(), "record's", "difference")),
    )
    sections = [Section(label="", rows=rows)]
    return TextTable(title="Imported victims", header=header, sections=sections, caption=TOLD)


def _compared(line: pd.Series[float], name: str) -> tuple[str, str, str]:
    ours, theirs = 100 * line[name], 100 * line[f"{name}_reported"]
    return number(ours), number(theirs), number(ours - theirs)


def _rows(part: BoardGroup) -> list[Row]:
    return [_row(place, group) for place, group in part.frame.groupby(PLACE, dropna=False)]


def _row(place: tuple[Any, ...], group: pd.DataFrame) -> Row:
    attack, rate, target = place
    means = group[MEANS].mean()
    return (
        *(str(attack), f"{100 * float(rate):g}" if rate else "–", str(target)),
        *(number(100 * means[name]) for name in MEANS[:4]),
        *(
            number(means["psnr"]),
            number(means["ssim"], 3),
            number(means["linf"]),
            number(means["seconds"]),
        ),
        _verdicts(group["verdict"]),
    )


def _verdicts(said: pd.Series[str]) -> str:
    counts = said.value_counts(sort=False)
    if len(counts) == 1:
        return str(said.iloc[0])
    return ", ".join(f"{word} {count}/{len(said)}" for word, count in counts.items())
