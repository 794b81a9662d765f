"""The tables of a report: each is numbers, for a program, and sheets, for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from harness.plan.spec import NO_ATTACK
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import METRICS
from harness.report.frame.report_data import ReportData
from harness.report.tables.clean_models import clean_numbers, clean_sheets
from harness.report.tables.leaderboard import board, leaderboard
from harness.report.tables.pairwise import (
    best_ranked,
    comparison_numbers,
    duel_sheets,
    rank_numbers,
    rank_sheets,
)
from harness.report.tables.splits import attack_numbers, attack_sheets, cost_sheets, split_sheets
from harness.report.tables.victims import victim_sheets
from harness.report.typeset.table import TextTable


class NamedTable(NamedTuple):
    """One table, as it is written into files of its name."""

    name: str
    sheets: list[TextTable]
    numbers: pd.DataFrame | None
    """None: they stand in another table's file."""


def all_tables(source: ReportData) -> Iterator[NamedTable]:
    """Yield every table, the leaderboard first; one without rows is left out, but for the leaderboard."""
    parts, frame = source.parts, source.attacked
    boards = [(part, leaderboard(part)) for part in parts or [BoardGroup("", "", frame)]]
    numbers = pd.concat([table for _, table in boards])
    yield NamedTable("leaderboard", [board(*pair) for pair in boards if parts], numbers)
    if parts:
        sheets = [sheet for pair in boards for sheet in attack_sheets(*pair)]
        yield NamedTable("attacks", sheets, attack_numbers(frame, METRICS))
    if len(parts) > 1:
        yield NamedTable("splits", split_sheets(parts, frame), None)
    if parts:
        yield NamedTable(
            "resources", [sheet for part in parts for sheet in cost_sheets(part)], None
        )
    if len(source.victims):
        yield NamedTable("victims", victim_sheets(source.victims), source.victims)
    if source.frame["attack"].eq(NO_ATTACK).any():
        clean = clean_numbers(source.frame)
        yield NamedTable("clean", clean_sheets(clean), clean)
    if parts:
        yield from _paired(source)


def _paired(source: ReportData) -> Iterator[NamedTable]:
    ranks = rank_numbers(source.attacked)
    chosen = source.against or best_ranked(ranks)
    if chosen is None:
        return
    yield NamedTable("ranks", rank_sheets(ranks), ranks)
    pairs = comparison_numbers(source.attacked)
    if len(pairs):
        yield NamedTable("comparisons", duel_sheets(pairs, chosen), pairs)
