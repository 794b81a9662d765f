"""The victims before any defense: their scores, how visible the trigger is, and the gate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.plan.target import target_text
from harness.report import TableContents, table
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.groups import BoardGroup, split_groups
from harness.report.frame.metric_info import SCORES, number, rate_text
from harness.report.frame.report_data import ReportData
from harness.report.typeset.marks import SHARED
from harness.report.typeset.table import Row, Section, TextTable

KEYS = ["attack", "rate", "target"]
"""One row per combination."""
SHARES = ["acc", "clean_acc", "asr", "ra"]
MEANS = [*SHARES, "psnr", "ssim", "linf", "seconds"]
HEADER = (
    "attack",
    "rate %",
    "target",
    "ACC",
    "clean ACC",
    "ASR",
    "RA",
    "PSNR",
    "SSIM",
    "L-inf",
    "sec",
    "gate",
)
CAPTION = (
    "Victims before any defense: means over seeds; ACC, ASR, RA in percent. PSNR (dB), SSIM and "
    "L-inf (8-bit steps) between clean and triggered test images; sec: seconds of training. gate: "
    "passed, by how many of the victims if not by all, or why none counts; what is not planted is "
    "in no mean of a defense."
)
IMPORTED_CAPTION = (
    "ACC, ASR and RA in percent: as evaluated here, as the last line of the record's own "
    "attack_df.csv says, and the first less the second."
)


@table
def victims(report: ReportData) -> TableContents | None:
    """Return the table of all victims, and one that compares imported ones with their records."""
    if not len(report.victims):
        return None
    return TableContents(texts=victim_tables(report.victims, report.names), numbers=report.victims)


def victim_tables(victims: pd.DataFrame, names: DisplayNames) -> list[TextTable]:
    """Return the tables; the first has one section per data set and model."""
    sections = [
        Section(label=group.title, rows=_rows(group)) for group in split_groups(victims, names)
    ]
    caption = f"{CAPTION} {SHARED}" if victims["shared"].any() else CAPTION
    whole = TextTable(
        title="Victims", header=HEADER, sections=sections, caption=caption, words=("gate",)
    )
    tables = [whole]
    reported = victims[[f"{name}_reported" for name in SCORES]].notna().any(axis=1)
    if reported.any():
        tables.append(_imported_table(victims[reported], names))
    return tables


def _imported_table(victims: pd.DataFrame, names: DisplayNames) -> TextTable:
    """Return our scores of imported victims next to those in their own records."""
    header, rows = ["attack"], []
    for name in SCORES:
        header += [name.upper(), "record's", "difference"]
    for _, victim in victims.iterrows():
        row = [names.of("attack", str(victim["attack"]))]
        for name in SCORES:
            ours, reported = 100 * victim[name], 100 * victim[f"{name}_reported"]
            row += [number(ours), number(reported), number(ours - reported)]
        rows.append(tuple(row))
    return TextTable(
        title="Imported victims",
        header=tuple(header),
        sections=[Section(label="", rows=rows)],
        caption=IMPORTED_CAPTION,
    )


def _rows(group: BoardGroup) -> list[Row]:
    return [
        _row(keys, victims, group.names)
        for keys, victims in group.frame.groupby(KEYS, dropna=False)
    ]


def _row(keys: tuple[Any, ...], victims: pd.DataFrame, names: DisplayNames) -> Row:
    attack, rate, target = keys
    means = victims[MEANS].mean()
    return (
        names.of("attack", str(attack)),
        rate_text(rate).removesuffix(" %") if rate else "–",
        target_text(target, victims["target_class"].iloc[0]),
        *(number(100 * means[name]) for name in SHARES),
        number(means["psnr"]),
        number(means["ssim"], 3),
        number(means["linf"]),
        number(means["seconds"]) + ("§" if victims["shared"].any() else ""),
        _verdicts(victims["verdict"]),
    )


def _verdicts(verdicts: pd.Series[str]) -> str:
    counts = verdicts.value_counts(sort=False)
    if len(counts) == 1:
        return str(verdicts.iloc[0])
    if passed := counts.get("passed", 0):
        return f"passed {passed}/{len(verdicts)}"
    return ", ".join(f"{verdict} {count}/{len(verdicts)}" for verdict, count in counts.items())
