"""Results for notebooks and scripts: cells as a DataFrame, and every table and figure of a report.

A notebook shows ``StudyResults`` as their leaderboard, a table as Markdown, a figure as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.errors import UserError, nearest
from harness.plan.paper import Paper
from harness.plan.report_names import figure_names, table_names
from harness.plan.study import Study
from harness.report.declare import TableContents
from harness.report.frame.records_csv import display_names, read_cells, victims_of
from harness.report.frame.report_data import ReportData, load_report_data, shown
from harness.report.outputs import ReportFigure, load_table, make_figures
from harness.store.store import store_of


@dataclass(frozen=True)
class StudyResults:
    """What a report is made from, and what it is made of."""

    report: ReportData

    @property
    def cells(self) -> pd.DataFrame:
        """One row per planned cell; docs/record.md says what the columns are."""
        return self.report.frame

    @property
    def victims(self) -> pd.DataFrame:
        """One row per victim; docs/record.md says what the columns are."""
        return self.report.victims

    def table(self, name: str) -> TableContents:
        """Return a table: ``texts`` for readers, ``numbers`` as a DataFrame.

        Args:
            name: of a table of reports ("leaderboard"), or the path of a file with one.

        Raises:
            UserError: no table has this name, or it has no rows here.
        """
        _check(name, "table", table_names())
        contents = load_table(name)(self.report)
        if contents is None:
            raise UserError(f"table {name}: it has no rows here")
        return contents

    def draw(self, name: str, group: str | None = None) -> ReportFigure:
        """Return a figure, with the numbers that are drawn (``data``) and a caption.

        ``figure`` is matplotlib's, to be changed and saved.

        Args:
            name: of a figure of reports ("tradeoff"), or the path of a file with one.
            group: the end of its file's name in a report, where there are several.

        Raises:
            UserError: no figure has this name, there is nothing to draw, or there are several.
        """
        _check(name, "figure", figure_names())
        made = make_figures(replace(self.report, figures=(name,)))
        drawn = {figure.stem: figure for figure in made if figure.figure is not None}
        if not drawn:
            raise UserError(f"figure {name}: there is nothing to draw here")
        if group is None and len(drawn) == 1:
            return next(iter(drawn.values()))
        prefix = f"{Path(name).stem}_"
        found = drawn.get(f"{prefix}{group}")
        if found is None:
            groups = [stem.removeprefix(prefix) for stem in drawn]
            raise UserError(f"figure {name}: choose a group{nearest(group or '', groups)}")
        return found

    def _repr_markdown_(self) -> str:
        return self.table("leaderboard")._repr_markdown_()


def _check(name: str, kind: str, known: Sequence[str]) -> None:
    if not name.endswith(".py") and name not in known:
        raise UserError(f"no {kind} {name!r}{nearest(name, known)}")


def results_of(studies: Sequence[Study], out: Path, paper: Paper | None = None) -> StudyResults:
    """Return the results of studies from their records, as a report has them."""
    return StudyResults(load_report_data(studies, store_of(out), paper=paper))


def results_in(path: Path, paper: Paper | None = None) -> StudyResults:
    """Return the results in a ``records.csv``.

    Without records there is nothing that artifacts or logs are needed for, such as the anatomy.

    Raises:
        UserError: the file can't be read, or is no ``records.csv``.
    """
    cells, paper = read_cells(path), paper or Paper()
    report = ReportData(
        frame=shown(cells, paper),
        victims=victims_of(cells),
        names=display_names(cells).renamed(paper.names),
        paper=paper,
    )
    return StudyResults(report)
