"""The committed documents of the reference board: they show its records, and they compile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zlib

import pytest

from harness.plan.paper import LEAST_FONT_SIZE
from harness.report.outputs import make_tables
from harness.report.results import results_in
from harness.report.typeset.latex import latex
from tests.reference_paper import FOLDER, PAPERS, RECORDS
from tests.report.test_paper import compile_latex, overfull

NEED_MORE = {"victims"}
"""Tables with numbers that are not in records.csv."""
AGAIN = "python -m tests.reference_paper OUT DATA_ROOT"


@pytest.fixture(params=PAPERS)
def name(request):
    return request.param


def files(name, ending):
    return sorted((FOLDER / "paper" / name).glob(f"*.{ending}"))


def test_its_tables_are_those_of_the_committed_records(name):
    paper = PAPERS[name]
    made = make_tables(results_in(RECORDS, paper).report)
    kept = {path.stem: path.read_text(encoding="utf-8") for path in files(name, "tex")}
    assert made.keys() | {"paper"} == kept.keys()
    for table, contents in made.items():
        if table not in NEED_MORE:
            assert latex(contents.texts, table, paper) == kept[table], AGAIN


def test_it_includes_every_table_and_figure(name):
    text = (FOLDER / "paper" / name / "paper.tex").read_text(encoding="utf-8")
    tables = {path.stem for path in files(name, "tex")} - {"paper"}
    figures = {path.stem for path in files(name, "pdf")}
    assert set(re.findall(r"\\input\{(\w+)\}", text)) == tables
    assert set(re.findall(r"\\includegraphics\{(\w+)\}", text)) == figures
    assert {"gallery", "anatomy_ims", "critical", "tradeoff"} <= figures


def test_no_text_in_its_figures_is_below_six_points(name):
    for path in files(name, "pdf"):
        streams = re.findall(rb"stream\r?\n(.*?)endstream", path.read_bytes(), re.DOTALL)
        content = b"".join(map(unpacked, streams))
        sizes = [float(size) for size in re.findall(rb"/F\S+ ([\d.]+) Tf", content)]
        assert min(sizes) >= LEAST_FONT_SIZE, path.name


def test_it_compiles_without_overfull_boxes_and_with_all_fonts(tmp_path, name):
    folder = shutil.copytree(FOLDER / "paper" / name, tmp_path / name)
    log = compile_latex(folder, "paper.tex")
    assert overfull(log) == []
    assert "undefined" not in log
    assert "Float too large" not in log
    if shutil.which("pdffonts") is None:
        assert "CI" not in os.environ, "pdffonts is missing: install poppler-utils"
        pytest.skip("pdffonts is not installed")
    command = ["pdffonts", str(folder / "paper.pdf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    fonts = done.stdout.splitlines()[2:]
    assert fonts
    assert {font.split()[-5] for font in fonts} == {"yes"}  # the column emb


def unpacked(stream):
    """Return a stream of a PDF without its compression; nothing of images."""
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
