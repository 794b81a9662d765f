"""The report of one study or several: every file of it, or none."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.csv
from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from harness.plan.report_names import BOARD, FIGURES, PAGE, TABLES
from harness.report.frame.report_data import MOST, ReportData
from harness.report.page import write_page
from harness.report.plotting.figure import ReportFigure, pictures
from harness.report.plotting.style import save
from harness.report.tables.all_tables import NamedTable, all_tables
from harness.report.typeset import render as tables

RECORD_ORDER = [
    "study",
    "data",
    "model",
    "recipe",
    "attack",
    "rate",
    "target",
    "n_clean",
    "budget",
    "defense",
    "seed",
    "key",
]
TABLE_ENDINGS = (".csv", ".md", ".tex")
Save = Callable[[Figure, Path], None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a report wrote, and its leaderboard for the terminal."""

    paths: list[Path]
    page: Path
    first: list[Path]
    """What to open first: the board, the first figure, the page."""
    terminal: RenderableType


def write_report(source: ReportData, folder: Path) -> Written:
    """Write records, tables, figures and the page into ``folder``.

    Clean models are in the records, but on no board; ``victims`` writes what there is to say of
    victims.

    Everything is made beside the old report and then moved over it, file by file: a report that
    fails midway leaves the old one as it was. Figures and tables of an earlier report that this one
    lacks are removed. Raises OSError when the folder can't be written, ValueError for a cell with
    an unknown status, UserError for a damaged artifact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as name:
        stage = Path(name)
        with _saving(len(source.frame)) as keep:
            drawn = [_write_picture(picture, stage, keep) for picture in pictures(source)]
            made = list(all_tables(source))
            for table in made:
                _write_table(table, stage)
            _write_records(source.frame, stage / "records.csv")
        write_page(source, made, drawn, stage / PAGE)
        paths = _publish(stage, folder)
    notes = [Text(picture.note) for picture in drawn if picture.note]
    shown = Group(tables.terminal(made[0].sheets), *notes)
    figures = [folder / f"{picture.stem}.pdf" for picture in drawn if picture.figure is not None][
        :1
    ]
    first = [folder / BOARD, *figures, folder / PAGE]
    return Written(paths=paths, page=folder / PAGE, first=first, terminal=shown)


@contextmanager
def _saving(cells: int) -> Iterator[Save]:
    """Yield what saves a figure: in a process beside this one, where there is much else to do here."""
    if cells <= MOST:
        yield save
        return
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        begun = [pool.submit(_ready)]  # it imports while the first figure is drawn
        yield lambda figure, stem: begun.append(pool.submit(save, figure, stem))
        for one in begun:
            one.result()


def _ready() -> None:
    """Do nothing: to find this function, a process has imported all that saving takes."""


def _write_records(frame: pd.DataFrame, path: Path) -> None:
    """Write every cell with all digits; by pyarrow, which takes a tenth of pandas' time for numbers."""
    plain = frame.assign(target=frame["target"].astype(str), gate=frame["gate"].astype("boolean"))
    table = pyarrow.Table.from_pandas(plain.sort_values(RECORD_ORDER), preserve_index=False)
    pyarrow.csv.write_csv(table, path)


def _write_table(table: NamedTable, folder: Path) -> None:
    if table.numbers is not None:
        _write_numbers(table.numbers, folder / f"{table.name}.csv")
    for ending, text in (
        ("md", tables.markdown(table.sheets)),
        ("tex", tables.latex(table.sheets)),
    ):
        (folder / f"{table.name}.{ending}").write_text(text, encoding="utf-8")


def _write_picture(picture: ReportFigure, folder: Path, keep: Save) -> ReportFigure:
    if picture.figure is not None:
        keep(picture.figure, folder / picture.stem)
        _write_numbers(picture.data, folder / f"{picture.stem}.csv")
    return picture


def _write_numbers(table: pd.DataFrame, path: Path) -> None:
    """Write statistics with nine digits: more would differ between machines' last bits, and mean nothing."""
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.9g")


def _publish(stage: Path, folder: Path) -> list[Path]:
    """Move every staged file into the folder; return the new paths in order of their names."""
    paths = [made.replace(folder / made.name) for made in sorted(stage.iterdir())]
    for old in set(_earlier(folder)) - set(paths):
        old.unlink()
    return paths


def _earlier(folder: Path) -> Iterator[Path]:
    """Yield the figures and tables in the folder, whichever report wrote them."""
    for name in FIGURES:
        for ending in ("pdf", "png", "csv"):
            yield from folder.glob(f"{name}.{ending}")
            yield from folder.glob(f"{name}_*.{ending}")
    yield from (
        path for name in TABLES for path in folder.glob(f"{name}.*") if path.suffix in TABLE_ENDINGS
    )
