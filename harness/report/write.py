"""Writes the report of one study or several: every file of it, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from harness.errors import UserError
from harness.plan.paper import Paper
from harness.plan.report_names import BOARD, PAGE, figure_names, table_names
from harness.report.csv_files import write_numbers, write_records
from harness.report.declare import TableContents
from harness.report.figure_files import figure_files
from harness.report.frame.report_data import ReportData
from harness.report.outputs import make_tables
from harness.report.page import page_data, write_page
from harness.report.typeset import render
from harness.report.typeset.document import DOCUMENT, document, figure_float
from harness.report.typeset.latex import latex
from harness.report.up_to_date import stamped_files

FIGURE_ENDINGS = (".pdf", ".png", ".csv")
TABLE_ENDINGS = (".csv", ".md", ".tex")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a report wrote, and its leaderboard for the terminal."""

    paths: list[Path]
    page: Path
    first: list[Path]
    """What to open first: the board, the first figure, the page."""
    terminal: RenderableType


def write_report(report: ReportData, folder: Path) -> Written:
    """Write records, tables, figures and the page into ``folder``.

    Everything is made next to the old report and then moved over it, file by file: a report that
    fails midway leaves the old one as it was. Figures and tables of an earlier report that this one
    lacks are removed.

    Raises:
        OSError: the folder can't be written.
        ValueError: a cell has an unknown status.
        UserError: a damaged artifact, or a figure file of the user's own that declares no figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as name:
        stage = Path(name)
        with figure_files(report, stage) as write_figures:
            tables = make_tables(report)
            _write_tables(tables, stage, report.paper)
            write_records(report.frame, stage / "records.csv")
            data = page_data(report, tables)
            figures = write_figures()
        drawn = [figure for figure in figures if figure.width is not None]
        floats = {figure.stem: figure_float(figure, report.paper) for figure in drawn}
        text = document(tables, floats.values(), report.paper)
        (stage / DOCUMENT).write_text(text, encoding="utf-8")
        write_page(report, data, tables, drawn, floats, stage / PAGE)
        paths = _publish(stage, folder)
    notes = [Text(figure.note) for figure in figures if figure.note]
    if report.absent:
        count = f"{len(report.absent)} artifacts of the records are not in this store"
        notes.append(Text(f"{count}: what figures draw of them is left out."))
    return Written(
        paths=paths,
        page=folder / PAGE,
        first=[folder / BOARD, *(folder / f"{x.stem}.pdf" for x in drawn[:1]), folder / PAGE],
        terminal=Group(render.terminal(tables["leaderboard"].texts), *notes),
    )


def write_only(report: ReportData, folder: Path, names: Collection[str]) -> list[Path]:
    """Write some tables and figures alone, and return their files; others stay as they are.

    Raises:
        UserError: the report has nothing to show in one of them; also as ``write_report``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures, tables = (
        tuple(ref for ref in refs if Path(ref).stem in names)
        for refs in (report.figures, report.tables)
    )
    chosen = replace(report, figures=figures, tables=tables)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as name:
        stage = Path(name)
        with figure_files(chosen, stage) as write_figures:
            made = make_tables(chosen)
            shown = {name: contents for name, contents in made.items() if name in names}
            _write_tables(shown, stage, chosen.paper)
            drawn = [figure.name for figure in write_figures() if figure.width is not None]
        if missing := [name for name in names if name not in {*shown, *drawn}]:
            raise UserError(f"--show {missing[0]}: there is nothing to show in it")
        return [path.replace(folder / path.name) for path in sorted(stage.iterdir())]


def _write_tables(tables: Mapping[str, TableContents], folder: Path, paper: Paper) -> None:
    for name, contents in tables.items():
        if contents.numbers is not None:
            write_numbers(contents.numbers, folder / f"{name}.csv")
        (folder / f"{name}.md").write_text(render.markdown(contents.texts), encoding="utf-8")
        (folder / f"{name}.tex").write_text(latex(contents.texts, name, paper), encoding="utf-8")


def _publish(stage: Path, folder: Path) -> list[Path]:
    """Move every staged file into the folder; return the new paths in order of their names."""
    earlier = set(_earlier_files(folder))
    paths = [path.replace(folder / path.name) for path in sorted(stage.iterdir())]
    for old in earlier - set(paths):
        old.unlink(missing_ok=True)
    return paths


def _earlier_files(folder: Path) -> Iterator[Path]:
    """Yield the figures and tables in the folder, whichever report wrote them."""
    yield from stamped_files(folder)
    for name in figure_names():
        for ending in FIGURE_ENDINGS:
            yield from folder.glob(f"{name}{ending}")
            yield from folder.glob(f"{name}_*{ending}")
    for name in table_names():
        for ending in TABLE_ENDINGS:
            yield from folder.glob(f"{name}{ending}")
