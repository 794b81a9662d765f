"""What a report is made from: plans, their records, and the artifacts that the records name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import UserError, nearest
from harness.plan.report_names import FIGURES
from harness.plan.spec import NO_ATTACK, NO_DEFENSE, Study
from harness.report.frame.frame import build_frame, build_victims
from harness.report.frame.groups import (
    BoardGroup,
    extra_access,
    split_groups,
)
from harness.report.plotting.style import MethodStyle, method_styles
from harness.report.stats.means import deduplicate
from harness.store.record_files import LatestRecords
from harness.store.store import Store

MOST = 10_000
"""Of more cells, a page with the record of each is too large to open; two processes write the
report."""
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that tables, figures and the page draw from."""

    frame: pd.DataFrame
    """One row per planned cell."""
    victims: pd.DataFrame
    """One row per victim."""
    studies: tuple[Study, ...] = ()
    records: LatestRecords = field(default_factory=LatestRecords)
    store: Store | None = None
    figures: tuple[str, ...] = FIGURES
    """Which figures, in order."""
    against: str | None = None
    """The defense that wins and losses are counted for; None takes the one with the best mean
    rank."""

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Each cell once, as statistics take it."""
        return deduplicate(self.frame)

    @cached_property
    def attacked(self) -> pd.DataFrame:
        """The cells of attacked models; clean ones are in no average and on no board."""
        return self.cells[self.cells["attack"].ne(NO_ATTACK)]

    @cached_property
    def parts(self) -> list[BoardGroup]:
        """What may be averaged together."""
        return split_groups(self.attacked)

    @cached_property
    def methods(self) -> list[str]:
        """All defenses but the undefended model, sorted."""
        return sorted(set(self.frame["defense"]) - {NO_DEFENSE})

    @cached_property
    def styles(self) -> dict[str, MethodStyle]:
        """How each defense is drawn."""
        return method_styles(self.methods, extra_access(self.frame))

    def artifact(self, key: str, name: str) -> Arrays | None:
        """Return an artifact of a record, or None where there is no such record or it keeps none.

        Raises:
            UserError: the record names it, but its file is missing or damaged.
        """
        artifacts = self.records.get(key, {}).get("result", {}).get("artifacts", {})
        return (
            self.store.get(artifacts[name])
            if self.store is not None and name in artifacts
            else None
        )


def has_details(studies: Sequence[Study]) -> bool:
    """Tell whether the page holds the record of every cell, with what it logged."""
    return sum(len(study.cells) for study in studies) <= MOST


def load_report_data(studies: Sequence[Study], store: Store, against: str | None = None) -> ReportData:
    """Join studies with the records of a store.

    Raises:
        UserError: two studies of one name; ``against`` is none of their defenses.
    """
    records = store.latest(scalars=has_details(studies))
    frame = build_frame(studies, records)
    known = set(frame["defense"]) - {NO_DEFENSE}
    if against is not None and against not in known:
        raise UserError(f"--against: no defense {against!r} here{nearest(against, known)}")
    return ReportData(
        frame=frame,
        victims=build_victims(studies, records),
        studies=tuple(studies),
        records=records,
        store=store,
        figures=tuple(dict.fromkeys(name for study in studies for name in study.figures)),
        against=against,
    )
