"""Reports for a paper: every table and figure fits the page, in type that can be read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace

import matplotlib as mpl
import pytest

from harness.errors import UserError
from harness.plan.paper import LEAST_FONT_SIZE, WIDTHS, Paper
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import make_figures, make_tables
from harness.report.typeset.abbreviate import abbreviations
from harness.report.typeset.latex import latex
from harness.report.typeset.table import BestText, SecondText, Section, TextTable
from harness.report.write import write_report
from harness.study.paper import read_paper
from tests.helpers.synthetic_frames import frame, report_of
from tests.helpers.synthetic_store import fabricate


def made_up(folder, defenses, paper, **options):
    """Return a study, its records and its report for a paper."""
    study, store = fabricate(folder, defenses, seeds=(0,), **options)
    return load_report_data([study], store, paper=paper)


@pytest.mark.parametrize(("name", "defenses"), [("ieee", 40), ("neurips", 20)], ids="{}".format)
def test_every_table_and_figure_fits_the_page_in_readable_type(tmp_path, name, defenses):
    aligned = name == "neurips" and has_siunitx()
    paper = Paper(format=name, font="serif", font_size=7, ours="method_02", siunitx=aligned)
    report = made_up(tmp_path, defenses, paper, attacks=3, rates=(0.01, 0.1))
    with mpl.rc_context({"pdf.compression": 0}):
        write_report(report, tmp_path)
    drawings = sorted(tmp_path.glob("*.pdf"))
    assert len(drawings) == 10
    for drawing in drawings:
        content = drawing.read_bytes()
        sizes = [float(size) for size in re.findall(rb"/F\S+ ([\d.]+) Tf", content)]
        assert min(sizes, default=99) >= LEAST_FONT_SIZE, drawing.name
        descriptors = content.count(b"/Type /FontDescriptor")
        assert descriptors == len(re.findall(rb"/FontFile[23]? \d+", content)) > 0, drawing.name
    log = compile_latex(tmp_path, "paper.tex")
    assert overfull(log) == []
    assert "undefined" not in log
    assert "Float too large" not in log


def test_figures_are_drawn_as_wide_as_a_column_or_a_page(tmp_path):
    report = made_up(tmp_path, 2, Paper(), rates=(0.01, 0.1))
    for paper in (Paper(format=name) for name in WIDTHS):
        for figure in make_figures(replace(report, paper=paper)):
            width = figure.figure.get_figwidth()
            assert width in {paper.column_inches, paper.page_inches}, (paper.format, figure.stem)


def test_a_paper_shows_its_methods_in_its_order_under_its_names(tmp_path):
    paper = Paper(
        defenses=["method_03", "method_00"],
        names={"method_03": "Ours", "attack_0": "First attack"},
        ours="method_03",
        metrics=("acc", "der"),
    )
    tables = make_tables(made_up(tmp_path, 5, paper))
    (board,) = tables["leaderboard"].texts
    shown = [[row[0] for row in section.rows] for section in board.sections]
    assert shown == [["no defense", "Ours", "method_00"]] * 2
    attacks = tables["attacks"].texts[0]
    assert attacks.spans == (("", 1), ("First attack", 2), ("attack_1", 2), ("mean", 2))
    assert attacks.header == ("defense", *["ACC", "DER"] * 3)


def test_attacks_can_be_the_rows(tmp_path):
    tables = make_tables(made_up(tmp_path, 3, Paper(rows="attacks")))
    attacks = tables["attacks"].texts[0]
    assert [row[0] for row in attacks.sections[0].rows] == ["attack_0", "attack_1", "mean"]
    assert attacks.spans[1] == ("no defense", 3)


def test_headings_are_abbreviated_before_a_table_is_split():
    names = ["Grad-Prune (synthetic)", "Grad-Prune", "Input-aware", "Blended", "I-BAU", "method_07"]
    short = ["GPS", "GP", "IA", "Blen.", "I-BAU", "M07"]
    assert list(abbreviations(names).values()) == short
    assert abbreviations(["Blended", "Blending"]) == {"Blended": "Blended", "Blending": "Blending"}
    spans = (("", 1), *((name, 1) for name in names))
    row = ("IMS", *["99.9"] * len(names))
    table = TextTable(
        title="T", header=("defense", *["ASR"] * 6), sections=[], caption="Percent.", spans=spans
    )
    table = replace(table, sections=[Section(label="", rows=[row])])
    (whole,) = re.findall(r"caption\{(.*)\}", latex([table], "t", Paper(page=400, column=400)))
    assert whole == "T. Percent."
    narrow = latex([table], "t", Paper(page=200, column=200))
    assert r"{c}{GPS} & \multicolumn{1}{c}{GP}" in narrow
    (caption,) = re.findall(r"caption\{(.*)\}", narrow)
    legend = r"GPS: Grad-Prune (synthetic); GP: Grad-Prune; IA: Input-aware; Blen.: Blended; M07: "
    assert caption == f"T. Percent. {legend}method\\_07."


def test_a_table_without_headings_is_split_between_columns_and_sets_words_from_the_left():
    header = ("attack", *[f"number {n}" for n in range(8)], "gate")
    rows = [("BadNets", *["99.9"] * 8, "passed")]
    section = Section(label="", rows=rows)
    table = TextTable(title="T", header=header, sections=[section], caption="", words=("gate",))
    (whole,) = re.findall(r"tabular\}\{@\{\}(\w+)", latex([table], "t", Paper(page=900)))
    assert whole == "lrrrrrrrrl"
    parts = latex([table], "t", Paper(page=200, column=200))
    assert re.findall(r"tabular\}\{@\{\}(\w+)", parts) == ["lrrr", "lrrr", "lrrl"]
    assert re.findall(r"number \d", parts) == list(header[1:-1])


def test_headings_with_a_comma_are_stacked_so_that_columns_keep_their_widths():
    spans = (("", 1), ("SPC 10", 1), ("SPC 10, 10 % wrong labels", 1))
    section = Section(label="", rows=[("IMS", "99.9", "99.9")])
    header = ("defense", "ASR", "ASR")
    table = TextTable(title="T", header=header, sections=[section], caption="", spans=spans)
    text = latex([table], "t", Paper())
    assert r"{c}{SPC 10} & \multicolumn{1}{c}{\shortstack{SPC 10,\\10 \% wrong labels}}" in text


def test_siunitx_aligns_numbers_with_their_marks():
    texts = [BestText("99.9‡"), SecondText("7.5"), "−0.3", "–", "missing"]
    rows = [(f"m{i}", text, BestText(f"{i} ± 1")) for i, text in enumerate(texts)]
    table = TextTable(
        title="T",
        header=("defense", "ACC", "ASR"),
        sections=[Section(label="", rows=rows)],
        caption="",
    )
    lines = latex([table], "t", Paper(siunitx=True)).splitlines()
    (head,) = [line for line in lines if "begin{tabular}" in line]
    form = r"S[table-format=-2.1,table-space-text-post={$\ddagger$}]"
    assert head == rf"\begin{{tabular}}{{@{{}}l{form}r@{{}}}}", "a column with ± stays as it is"
    assert r"defense & {ACC} & ASR \\" in lines
    cells = [line.split(" & ")[1] for line in lines if line.startswith("m")]
    under = r"{\phantom{$-$0}\underline{7.5}\phantom{$\ddagger$}}"
    assert cells == [r"\bfseries 99.9{$\ddagger$}", under, "-0.3", "{--}", "{missing}"]
    assert r"\textbf{4 $\pm$ 1}" in "".join(lines)


def test_a_collapsed_network_is_never_the_best(tmp_path):
    cells = frame(("none", "ft", "anp", "ims"), attacks=("badnets",))
    collapsed = cells["defense"].eq("ft")
    cells.loc[collapsed, ["acc", "asr"]] = [0.1, 0.0]
    for margin, best in ((0.1, "ims"), (1.0, "ft")):
        report = replace(report_of(cells), paper=Paper(margin=margin))
        table = make_tables(report)["attacks"].texts[0]
        asr = table.header.index("ASR")
        marked = [row[0] for row in table.sections[0].rows if isinstance(row[asr], BestText)]
        assert marked == [best]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("iee", "--paper format: should be 'report', 'ieee', 'acm', 'usenix' or 'neurips'"),
        ("{ours: metod_00}", "--paper ours: no defense 'metod_00' here; did you mean 'method_00'"),
        ("{names: {attak_0: X}}", "--paper names.attak_0: nothing is called 'attak_0' here; did"),
        ("{formt: ieee}", "--paper formt: unknown key 'formt'; did you mean 'format'"),
        ("{format: ieee", "--paper: not YAML"),
    ],
)
def test_a_wrong_paper_is_one_line(tmp_path, text, line):
    study, _ = fabricate(tmp_path)
    with pytest.raises(UserError, match=re.escape(line)) as caught:
        read_paper(text, study.cells)
    assert "\n" not in str(caught.value)


def test_a_study_with_a_wrong_paper_is_refused_with_its_line(tmp_path):
    with pytest.raises(UserError, match=r"made_up.yaml:8.*no defense 'nobody' here"):
        fabricate(tmp_path, extra="paper: {ours: nobody}")


def overfull(log):
    """Return by how many points boxes are too wide, where it is more than one point."""
    widths = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    return [width for width in widths if width > 1]


def has_siunitx():
    """Tell whether LaTeX has the package siunitx."""
    command = ["kpsewhich", "siunitx.sty"]
    found = bool(shutil.which(command[0])) and not subprocess.run(command, check=False).returncode
    assert found or "CI" not in os.environ, "siunitx is missing: .ci/run installs it"
    return found


def compile_latex(folder, name):
    """Compile a document, and return what pdflatex printed."""
    if shutil.which("pdflatex") is None:
        assert "CI" not in os.environ, "pdflatex is missing: install texlive-latex-base"
        pytest.skip("pdflatex is not installed")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout
