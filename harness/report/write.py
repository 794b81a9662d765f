"""Writes the report of one study or several: every file of it, or none."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.csv
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from harness.errors import UserError
from harness.plan.paper import Paper
from harness.plan.report_names import BOARD, PAGE, figure_names, table_names
from harness.report.declare import TableContents
from harness.report.frame.groups import GROUP
from harness.report.frame.report_data import LARGE, ReportData
from harness.report.outputs import ReportFigure, make_figures, make_tables
from harness.report.page import write_page
from harness.report.plotting.style import save
from harness.report.typeset import render
from harness.report.typeset.document import DOCUMENT, document, figure_float
from harness.report.typeset.latex import latex
from harness.report.up_to_date import stamped_files

RECORD_ORDER = [
    "study",
    *GROUP,
    "attack",
    "rate",
    "target",
    "n_clean",
    "budget",
    "defense",
    "seed",
    "key",
]
FIGURE_ENDINGS = (".pdf", ".png", ".csv")
TABLE_ENDINGS = (".csv", ".md", ".tex")
MOST_SAVERS = 4
"""The most processes that save figures; one core is left to this one."""
Save = Callable[[Figure, Path], None]


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
        with _figure_saver(report) as save_figure:
            figures = _write_figures(report, stage, save_figure)
            tables = make_tables(report)
            _write_tables(tables, stage, report.paper)
            _write_records(report.frame, stage / "records.csv")
            floats = {
                figure.stem: figure_float(figure, report.paper)
                for figure in figures
                if figure.figure is not None
            }
            text = document(tables, floats.values(), report.paper)
            (stage / DOCUMENT).write_text(text, encoding="utf-8")
        write_page(report, tables, figures, floats, stage / PAGE)
        paths = _publish(stage, folder)
    drawn = [folder / f"{figure.stem}.pdf" for figure in figures if figure.figure is not None]
    notes = [Text(figure.note) for figure in figures if figure.note]
    if report.absent:
        count = f"{len(report.absent)} artifacts of the records are not in this store"
        notes.append(Text(f"{count}: what figures draw of them is left out."))
    return Written(
        paths=paths,
        page=folder / PAGE,
        first=[folder / BOARD, *drawn[:1], folder / PAGE],
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
        with _figure_saver(chosen) as save_figure:
            drawn = [x for x in _write_figures(chosen, stage, save_figure) if x.figure is not None]
        shown = {name: contents for name, contents in make_tables(chosen).items() if name in names}
        _write_tables(shown, stage, chosen.paper)
        made = {*shown, *(figure.name for figure in drawn)}
        if missing := [name for name in names if name not in made]:
            raise UserError(f"--show {missing[0]}: there is nothing to show in it")
        return [path.replace(folder / path.name) for path in sorted(stage.iterdir())]


@contextmanager
def _figure_saver(report: ReportData) -> Iterator[Save]:
    """Yield what saves a figure; for a large report, other processes that work in parallel."""
    save_one = partial(save, paper=report.paper)
    if len(report.frame) <= LARGE:
        yield save_one
        return
    n_savers = max(1, min(MOST_SAVERS, (os.cpu_count() or 1) - 1))
    with ProcessPoolExecutor(n_savers, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(_import_this_module)]  # while the first figure is drawn
        yield lambda figure, stem: jobs.append(pool.submit(save_one, figure, stem))
        for job in jobs:
            job.result()


def _import_this_module() -> None:
    """Do nothing: to call this, the process has imported all that saving a figure needs."""


def _write_records(frame: pd.DataFrame, path: Path) -> None:
    """Write every cell with all digits; by pyarrow, ten times as fast as pandas for numbers."""
    plain = frame.assign(target=frame["target"].astype(str), gate=frame["gate"].astype("boolean"))
    table = pyarrow.Table.from_pandas(plain.sort_values(RECORD_ORDER), preserve_index=False)
    pyarrow.csv.write_csv(table, path)


def _write_tables(tables: Mapping[str, TableContents], folder: Path, paper: Paper) -> None:
    for name, contents in tables.items():
        if contents.numbers is not None:
            _write_numbers(contents.numbers, folder / f"{name}.csv")
        (folder / f"{name}.md").write_text(render.markdown(contents.texts), encoding="utf-8")
        (folder / f"{name}.tex").write_text(latex(contents.texts, name, paper), encoding="utf-8")


def _write_figures(report: ReportData, folder: Path, save_figure: Save) -> list[ReportFigure]:
    """Write every figure that has something to draw, and return all."""
    figures = []
    for figure in make_figures(report):
        figures.append(figure)
        if figure.figure is not None:
            save_figure(figure.figure, folder / figure.stem)
            _write_numbers(figure.data, folder / f"{figure.stem}.csv")
    return figures


def _write_numbers(table: pd.DataFrame, path: Path) -> None:
    """Write statistics with nine digits; further ones differ between machines."""
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.9g")


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
