"""What a report is made from: studies, their records, and the artifacts that the records name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from harness.errors import UserError, nearest
from harness.plan.names import NO_DEFENSE
from harness.plan.paper import Paper
from harness.plan.rank import Rank
from harness.plan.report_names import figure_names, table_names
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.frame import build_controls, build_frame, build_victims, filled
from harness.report.frame.groups import BoardGroup, split_groups
from harness.report.frame.labels import StudyLabels
from harness.report.frame.metric_info import COMPARED
from harness.report.frame.probes import ProbeColumn, probe_columns, probe_logs
from harness.report.frame.published import Published, read_published
from harness.report.frame.records_csv import read_cells
from harness.report.frame.varied import VariedDefense, varied_defenses
from harness.report.stats.means import deduplicate
from harness.store.record import Role
from harness.store.record_files import LatestRecords
from harness.store.store import Arrays, Store

if TYPE_CHECKING:
    from harness.plan.study import Study

AXES: dict[Role, dict[str, int]] = {"samples": {"clean": 4, "triggered": 4}}
"""The arrays of an artifact that figures read, and how many axes each has."""
LARGE = 10_000
"""With more cells than this, the page holds no records (a browser could not open it), and other
processes save the figures."""
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """Everything that tables, figures and the page are made from."""

    frame: pd.DataFrame
    """One row per planned cell."""
    victims: pd.DataFrame
    """One row per victim."""
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per victim: what probes measured on its clean model."""
    probe_columns: tuple[ProbeColumn, ...] = ()
    """The numbers of probes that the frames have."""
    variations: tuple[VariedDefense, ...] = ()
    """The defenses that ran with a changed hyperparameter; they stand on no board."""
    names: DisplayNames = field(default_factory=DisplayNames)
    """What readers see for the labels in both frames."""
    studies: tuple[Study, ...] = ()
    records: LatestRecords = field(default_factory=LatestRecords)
    store: Store | None = None
    figures: tuple[str, ...] = field(default_factory=figure_names)
    """The figures, in order: names, and paths of the user's own files."""
    tables: tuple[str, ...] = field(default_factory=table_names)
    """The tables, likewise."""
    paper: Paper = field(default_factory=Paper)
    """The page that tables and figures are made for, and what they show."""
    against: str | None = None
    """The defense that is compared with each other one; None: the one with the best mean rank."""
    rank_by: str = Rank.by
    """The number that sorts boards: a metric, or ``worst_asr``."""
    published_file: Path | None = None
    """A user's table of published numbers; None: BackdoorBench's board."""
    absent: set[str] = field(default_factory=set, init=False)
    """The artifacts that were asked for and are not in the store."""
    _results: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Each cell once, as statistics take it (see ``means.deduplicate``)."""
        return deduplicate(self.frame)

    @cached_property
    def attacked(self) -> pd.DataFrame:
        """The cells of attacked models; clean ones are in no mean and on no leaderboard."""
        return self._on_boards[self._on_boards["attacked"].eq(True)]

    @cached_property
    def clean(self) -> pd.DataFrame:
        """The cells of clean models, where there is nothing to remove."""
        return self._on_boards[self._on_boards["attacked"].eq(False)]

    @property
    def _on_boards(self) -> pd.DataFrame:
        """The cells of the defenses as the studies list them."""
        return self.cells[~self.cells["defense"].isin({x.label for x in self.variations})]

    @cached_property
    def groups(self) -> list[BoardGroup]:
        """What may be averaged together."""
        return split_groups(self.attacked, self.names, self.paper)

    @cached_property
    def published(self) -> Published:
        """The published numbers that outputs show beside the study's."""
        return read_published(self.published_file)

    @cached_property
    def defenses(self) -> list[str]:
        """The labels of all defenses but the undefended model, sorted."""
        return sorted(set(self._on_boards["defense"].unique()) - {NO_DEFENSE})

    @property
    def ranked_metric(self) -> str:
        """The metric that decides which defense is best, where one must be named."""
        return self.rank_by if self.rank_by in COMPARED else Rank.by

    def once(self, compute: Callable[[ReportData], Result]) -> Result:
        """Return ``compute(self)``, computed once: for numbers that several outputs need."""
        if compute not in self._results:
            self._results[compute] = compute(self)
        result: Result = self._results[compute]
        return result

    def probe_logs(self, probe: str) -> dict[str, list[dict[str, float]]]:
        """Return what a probe logged, by the key of the cell whose model it tested."""
        return probe_logs(self.studies, self.records, probe)

    def artifact(self, key: str, role: Role) -> Arrays | None:
        """Return an artifact of a record; None without such a record, or if it keeps none.

        None as well where records were copied without their artifacts; ``absent`` has those.

        Raises:
            UserError: its file is damaged, or holds other arrays.
        """
        if self.store is None or key not in self.records:
            return None
        name = self.records.artifacts(key).get(role)
        if name is None:
            return None
        if not self.store.path_of(name).exists():
            self.absent.add(name)
            return None
        arrays = self.store.get(name)
        for array, axes in AXES.get(role, {}).items():
            if array not in arrays or arrays[array].ndim != axes or not arrays[array].size:
                raise UserError(
                    f"{self.store.path_of(name)}: not the {role} of a record: no {array} in it"
                )
        return arrays


def has_details(studies: Sequence[Study]) -> bool:
    """Tell whether the page holds the record of every cell, with its log."""
    return sum(len(study.cells) for study in studies) <= LARGE


def load_report_data(
    studies: Sequence[Study],
    store: Store,
    against: str | None = None,
    paper: Paper | None = None,
    published: Path | None = None,
    known: Path | None = None,
) -> ReportData:
    """Join studies with the records of a store.

    Args:
        studies: what is reported.
        store: where their records are.
        against: the defense that others are compared with.
        paper: in place of that of the first study.
        published: a user's table of published numbers.
        known: a ``records.csv`` whose rows stand in for the records that the store lacks.

    Raises:
        UserError: two studies have one name; ``against`` is none of their defenses; ``published``
            is no table of published numbers, ``known`` no ``records.csv``.
    """
    records = store.latest(scalars=has_details(studies), decoded=True)
    paper = studies[0].paper if paper is None else paper
    labels = StudyLabels(studies)
    frame = build_frame(studies, records)
    frame = shown(frame if known is None else filled(frame, read_cells(known)), paper)
    defenses = set(frame["defense"].unique()) - {NO_DEFENSE}
    if against is not None and against not in defenses:
        raise UserError(f"--against: no defense {against!r} here{nearest(against, defenses)}")
    return ReportData(
        frame=frame,
        victims=build_victims(studies, records),
        controls=build_controls(studies, records),
        probe_columns=tuple(probe_columns(studies, labels)),
        variations=tuple(varied_defenses(studies, labels)),
        names=labels.display_names().renamed(paper.names),
        studies=tuple(studies),
        records=records,
        store=store,
        figures=tuple(dict.fromkeys(name for study in studies for name in study.figures)),
        tables=tuple(dict.fromkeys(name for study in studies for name in study.tables)),
        paper=paper,
        against=against,
        published_file=published,
        rank_by=studies[0].rank.by,
    )


def shown(frame: pd.DataFrame, paper: Paper) -> pd.DataFrame:
    """Return the cells of the defenses that the paper shows, and of the undefended model."""
    if not paper.defenses:
        return frame
    return frame[frame["defense"].isin([NO_DEFENSE, *paper.defenses])]
