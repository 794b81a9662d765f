"""The report as one HTML file: everything inside, nothing fetched; opened from disk.

``boards`` and ``cells`` have the numbers of its tables, ``records`` and ``methods`` what it tells
of each; the templates and scripts are next to them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from harness.report.declare import TableContents
from harness.report.frame.report_data import ReportData
from harness.report.outputs import ReportFigure
from harness.report.page.boards import board_rows
from harness.report.page.cells import cell_columns
from harness.report.page.head import origin, state
from harness.report.page.methods import methods, own_files
from harness.report.page.records import record_details
from harness.report.typeset.table import BestText, SecondText

FOLDER = files("harness.report.page")
TERMS = {
    "ACC": "accuracy on clean test images",
    "ASR": "attack success rate: share of triggered test images classified as the attacker wants",
    "RA": "robust accuracy: share of triggered test images classified correctly",
    "DER": "(fall of ASR - fall of ACC + 1) / 2; 50 is no change",
    "RIR": "(rise of RA - fall of ACC + 1) / 2; 50 is no change",
    "ARR, RDR": "1 - ACC after / before, and 1 - RA after / ACC before; lower is better",
    "solved": "share of victims with ASR below 10 % and ACC less than 2 points lower",
    "sec": "seconds of the defense; §: several workers shared the GPU, alone it takes less",
    "Δ": "the change that the defense makes, in points",
    "MB": "its peak memory, in MiB: of its process on a CPU, allocated on a GPU",
    "SPC": "clean samples per class that a defense is given",
    "oracle": "a defense that is also given images with the real trigger; external: the test set",
    "n": "cells used of cells planned",
}
"""What readers need to know of the columns."""
SCRIPTS = ("table.js", "record.js", "page.js")
LARGEST_COPY = 500_000
"""The most bytes of a file that the page holds for its copy button."""
PIXELS_PER_INCH = 140
"""The size of figures on the page."""


class PageData(NamedTuple):
    """What the page's scripts read, as JSON."""

    numbers: str
    """Boards and cells."""
    records: str


def page_data(report: ReportData, tables: dict[str, TableContents]) -> PageData:
    """Return the data of a page; the leaderboard among the tables has its order."""
    board = tables["leaderboard"].numbers
    assert board is not None
    numbers = {"boards": board_rows(report, board), "cells": cell_columns(report)}
    return PageData(_json(numbers), _json(record_details(report)))


def write_page(
    report: ReportData,
    data: PageData,
    tables: dict[str, TableContents],
    figures: list[ReportFigure],
    floats: dict[str, str],
    path: Path,
) -> None:
    """Write the page next to the figures and tables, which are in ``path``'s folder already.

    ``figures`` are those that are drawn; ``floats`` has the LaTeX float of each by its name.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.tests["best"] = lambda text: isinstance(text, BestText)
    environment.tests["second"] = lambda text: isinstance(text, SecondText)
    copies = floats | _small_files([*tables, *floats], path.parent)
    text = environment.from_string(_read("page.html")).render(
        title=" + ".join(study.name for study in report.studies) or "Report",
        style=_read("page.css"),
        scripts=[_read(name) for name in SCRIPTS],
        data=data.numbers,
        records=data.records,
        copies=copies,
        copied=_json(copies),
        state=state(report),
        origin=origin(report),
        figures=[_figure(figure, path.parent) for figure in figures],
        tables=[
            (name, contents)
            for name, contents in tables.items()
            if name != "leaderboard" and contents.texts
        ],
        methods=methods(report.studies),
        studies=[_file(study.path) for study in report.studies],
        own_files=[_file(path) for path in own_files(report.studies)],
        terms=TERMS,
    )
    path.write_text(text, encoding="utf-8")


def _small_files(stems: Iterable[str], folder: Path) -> dict[str, str]:
    """Return the tables, and the numbers of figures, that are small enough to be copied."""
    paths = (folder / f"{stem}.{ending}" for stem in stems for ending in ("csv", "tex", "md"))
    small = (path for path in paths if path.is_file() and path.stat().st_size <= LARGEST_COPY)
    return {path.name: path.read_text(encoding="utf-8") for path in small}


def _figure(figure: ReportFigure, folder: Path) -> dict[str, Any]:
    assert figure.width is not None
    return {
        "title": figure.title,
        "caption": figure.caption,
        "alt": figure.alt or figure.caption,
        "name": figure.stem,
        "png": base64.b64encode((folder / f"{figure.stem}.png").read_bytes()).decode("ascii"),
        "invertible": figure.invertible,
        "width": round(PIXELS_PER_INCH * figure.width),
    }


def _file(path: str) -> dict[str, str]:
    file = Path(path)
    return {"name": file.name, "text": file.read_text(encoding="utf-8")}


def _json(value: Any) -> str:
    """Return JSON that no HTML parser takes for markup."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _read(name: str) -> str:
    return FOLDER.joinpath(name).read_text(encoding="utf-8")
