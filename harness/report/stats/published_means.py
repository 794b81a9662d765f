"""A study's means beside published numbers, and the count of those without a counterpart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from harness.report.frame.groups import GROUP
from harness.report.frame.metric_info import SCORES
from harness.report.frame.published import MATCHED, Published
from harness.report.stats.means import is_counted

if TYPE_CHECKING:
    from harness.report.frame.report_data import ReportData

SEPARATE = [*GROUP, "attack", "rate", "budget", "defense"]


@dataclass(frozen=True)
class PublishedMeans:
    """A study's means beside published numbers."""

    rows: pd.DataFrame
    """One row per ``SEPARATE``: acc, asr and ra, published_acc and so on, in percent."""
    without: int
    """How many of the study's means have no counterpart."""
    protocol: str
    """What a caption says of the published numbers."""

    def left_out(self) -> str:
        """Return the sentence that counts what has no counterpart."""
        total = self.without + len(self.rows)
        return f"Left out: {self.without} of {total} means, which have no published counterpart."


def published_means(report: ReportData) -> PublishedMeans:
    """Return a report's means beside the published numbers that it was given."""
    return means_and_published(report.attacked, report.published)


def published_rows_shown(report: ReportData) -> PublishedMeans | None:
    """Return what the attack tables have as rows; None unless the paper asks for it."""
    return report.once(published_means) if report.paper.published else None


def means_and_published(cells: pd.DataFrame, published: Published) -> PublishedMeans:
    """Return the means over seeds of finished cells beside their published counterparts."""
    counted = cells[is_counted(cells)]
    ours = counted.groupby(SEPARATE, sort=False)[list(SCORES)].mean().mul(100).reset_index()
    published_scores = published.numbers.rename(
        columns={name: f"published_{name}" for name in SCORES}
    )
    rows = _rounded(ours).merge(_rounded(published_scores), on=MATCHED)
    return PublishedMeans(rows, len(ours) - len(rows), published.protocol)


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Round rates, so that equal ones are equal as floats too."""
    return table.assign(rate=table["rate"].astype(float).round(6))
