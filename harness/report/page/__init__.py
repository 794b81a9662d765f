"""The report as one HTML file: everything inside, nothing fetched; opened from disk."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from harness.report.frame.report_data import ReportData, has_details
from harness.report.page.boards import board_rows
from harness.report.page.cells import cell_columns
from harness.report.page.methods import methods
from harness.report.page.records import record_details
from harness.report.plotting.figure import ReportFigure
from harness.report.tables.all_tables import NamedTable
from harness.report.typeset.table import BestText, SecondText

FOLDER = files("harness.report.page")
SCRIPTS = ("table.js", "record.js", "page.js")
PIXELS = 140
"""Of a figure's inch on the page."""


def write_page(
    source: ReportData, tables: list[NamedTable], drawn: list[ReportFigure], path: Path
) -> None:
    """Write the page beside the figures, whose PNG files lie in ``path``'s folder already."""
    figures = [_figure(picture, path.parent) for picture in drawn if picture.figure is not None]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.tests["best"] = lambda text: isinstance(text, BestText)
    environment.tests["second"] = lambda text: isinstance(text, SecondText)
    text = environment.from_string(_read("page.html")).render(
        title=" + ".join(study.name for study in source.studies) or "Report",
        style=_read("page.css"),
        scripts=[_read(name) for name in SCRIPTS],
        data=_json(_data(source)),
        records=_json(record_details(source)),
        state=_state(source),
        figures=figures,
        tables=[table for table in tables if table.name != "leaderboard" and table.sheets],
        methods=methods(source.studies),
        studies=[_study(study.path) for study in source.studies],
    )
    path.write_text(text, encoding="utf-8")


def _figure(picture: ReportFigure, folder: Path) -> dict[str, Any]:
    assert picture.figure is not None
    return {
        **{"title": picture.title, "caption": picture.caption, "name": picture.stem},
        "png": base64.b64encode((folder / f"{picture.stem}.png").read_bytes()).decode("ascii"),
        "width": round(PIXELS * picture.figure.get_figwidth()),
    }


def _data(source: ReportData) -> dict[str, Any]:
    return {"boards": board_rows(source), "cells": cell_columns(source)}


def _state(source: ReportData) -> str:
    """Return how many cells and victims there are, by status."""
    counts = source.frame["status"].value_counts().sort_index()
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    told = (
        ""
        if has_details(source.studies)
        else "; the record of a single one: defuse show STUDY CELL"
    )
    return f"{len(source.frame)} cells on {source.frame['victim'].nunique()} victims: {said or 'none'}{told}"


def _study(path: str) -> dict[str, str]:
    file = Path(path)
    return {"name": file.name, "text": file.read_text(encoding="utf-8")}


def _json(value: Any) -> str:
    """Return JSON that no parser of HTML takes for markup."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _read(name: str) -> str:
    return FOLDER.joinpath(name).read_text(encoding="utf-8")
