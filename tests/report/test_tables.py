from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.plan.paper import Paper
from harness.report.frame.groups import split_groups
from harness.report.outputs import make_tables
from harness.report.page.boards import board_rows
from harness.report.stats.means import deduplicate
from harness.report.tables.architectures import architectures
from harness.report.tables.attacks import attack_numbers, attack_tables
from harness.report.tables.leaderboard import (
    HEADER,
    all_board_numbers,
    board_numbers,
    board_order,
    board_table,
)
from harness.report.typeset.latex import escape, fits_page, latex
from harness.report.typeset.render import markdown, terminal
from harness.report.typeset.table import BestText, Section, TextTable
from harness.report.write import write_report
from tests.helpers.synthetic_frames import frame, golden_frame, golden_report, report_of

GOLDEN = Path(__file__).parent / "golden"
# Debian has booktabs in another package than texlive-latex-base
BOOKTABS = r"""\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{%
\let\toprule\hline \let\midrule\hline \let\bottomrule\hline}"""
AWKWARD = r"50%_of & #1 $x^2$ {~} \ [a|b] <>"


def boards(cells):
    return [board_table(group, board_numbers(group)) for group in split_groups(deduplicate(cells))]


def rendered(cells, width=80):
    console = Console(width=width, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    with console.file:
        console.print(terminal(boards(cells)))
    return console.export_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(golden_report(), folder)
    return folder


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_golden_files(report, path):
    assert (report / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), (
        "if the change is meant: python -m tests.regenerate report, and read the diff"
    )


def test_no_defense_comes_first_then_by_der_and_oracles_apart():
    (only,) = boards(golden_frame())
    assert [section.label for section in only.sections] == [
        "SPC 2",
        "SPC 2 · oracle",
        "SPC 10",
        "SPC 10 · oracle",
    ]
    names = [[row[0] for row in section.rows] for section in only.sections]
    assert names == [["no defense", "ims", "ft"], ["grad_prune"]] * 2
    ders = [float(row[HEADER.index("DER")].split()[0]) for row in only.sections[0].rows[1:]]
    assert ders == sorted(ders, reverse=True)


@pytest.mark.parametrize("rank_by", ["worst_asr", "rir", "acc"])
def test_the_page_has_the_order_of_the_board(rank_by):
    cells = frame(("none", "ft", "anp", "ims"))
    cells.loc[cells["defense"].eq("ft"), "asr"] = 0.4
    cells.loc[cells["defense"].eq("anp"), "asr"] = 0.1
    cells.loc[cells["defense"].eq("anp") & cells["attack"].eq("blended"), "asr"] = 0.5
    report = report_of(cells, rank_by=rank_by)
    (numbers,) = report.once(all_board_numbers)
    (only,) = report.groups
    whole = [row[0] for section in board_table(only, numbers).sections for row in section.rows]
    rows = board_rows(report, numbers)["rows"]
    for attack in ("all", "badnets", "blended"):
        assert [row["defense"] for row in rows if row["attack"] == attack] == whole
    if rank_by == "worst_asr":  # though ANP has the lower mean
        assert whole.index("ft") < whole.index("anp")


def test_what_is_left_out_is_said():
    (only,) = boards(golden_frame())
    assert only.left_out == "Left out: 1 victim failed the gate (8 cells); 1 error; 1 missing."
    assert boards(frame())[0].left_out == "Left out: nothing."


def test_an_attack_that_is_in_no_mean_is_not_named_among_them():
    cells = frame()
    assert "means over badnets, blended at" in boards(cells)[0].caption
    cells.loc[cells["attack"].eq("blended"), "gate"] = False
    assert "means over badnets at" in boards(cells)[0].caption


def test_each_row_says_how_many_of_its_cells_it_uses():
    (only,) = boards(golden_frame())
    assert {row[0]: row[-1] for row in only.sections[0].rows} == {
        "no defense": "5/6",
        "ims": "5/6",
        "ft": "3/6†",
    }
    assert "†: fewer cells than others of its part" in only.caption


def test_one_seed_shows_a_bare_mean():
    (only,) = boards(frame(seeds=(0,)))
    assert "±" not in "".join(
        text for section in only.sections for row in section.rows for text in row
    )
    assert "one seed, so no interval" in only.caption


def test_a_section_of_one_attack_has_no_mean_row():
    weak = frame(attacks=("blended",)).assign(rate=0.01)
    weak["key"] += "weak"
    cells = pd.concat([frame(attacks=("badnets", "blended", "wanet")), weak])
    (group,) = split_groups(deduplicate(cells))
    table = attack_tables(group, board_numbers(group), attack_numbers(group))[0]
    attacks = [name for name, _ in table.spans[1:]]
    assert attacks == ["badnets", "blended", "wanet", "mean"]
    filled = {
        section.label: [
            name for name, acc in zip(attacks, section.rows[0][1::3], strict=True) if acc
        ]
        for section in table.sections
    }
    assert filled == {
        "poison rate 1 %": ["blended"],
        "poison rate 10 %": ["badnets", "blended", "wanet", "mean"],
    }
    assert "mean: over badnets, blended, wanet, those of its poison rate." in table.caption


def test_the_mean_is_over_all_attacks_where_each_has_its_own_rate():
    cells = frame()
    cells.loc[cells["attack"].eq("blended"), "rate"] = 0.03
    (group,) = split_groups(deduplicate(cells))
    board = board_numbers(group)
    table = attack_tables(group, board, attack_numbers(group))[0]
    (section,) = table.sections
    assert section.label == "poison rate 3, 10 %"
    asr = board[board["metric"].eq("asr") & board["budget"].eq("SPC 2")].set_index("defense")
    assert section.rows[-1][-2] == f"{100 * asr.loc[section.rows[-1][0], 'mean']:.1f}"


LISTS = ("none", "ft", "ims")


def test_a_list_has_the_budgets_side_by_side_in_the_order_of_the_board():
    paper = Paper(layout="list")
    (group,) = split_groups(deduplicate(frame(LISTS)), paper=paper)
    board = board_numbers(group)
    (table,) = attack_tables(group, board, attack_numbers(group))
    assert [section.label for section in table.sections] == ["badnets", "blended", "mean"]
    assert table.spans == (("", 1), ("SPC 2", 3), ("SPC 10", 3))
    names = ["no defense", *[name for name in dict.fromkeys(board["defense"]) if name != "none"]]
    assert [[row[0] for row in section.rows] for section in table.sections] == [names] * 3
    by_attack = replace(group, paper=replace(paper, rows="attacks"))
    (turned,) = attack_tables(by_attack, board, attack_numbers(by_attack))
    assert [section.label for section in turned.sections] == names
    assert turned.sections[1].rows[0][1:] == table.sections[0].rows[1][1:]


@pytest.mark.parametrize(("n_attacks", "form"), [(2, "panels"), (12, "list")])
def test_what_would_have_to_be_split_is_a_list(n_attacks, form):
    attacks = tuple(f"attack_{number}" for number in range(n_attacks))
    (group,) = split_groups(deduplicate(frame(LISTS, attacks=attacks, seeds=(0,))))
    tables = attack_tables(group, board_numbers(group), attack_numbers(group))
    assert len(tables) == {"panels": 2, "list": 1}[form]
    assert all(fits_page(table, group.paper) for table in tables)


def test_a_list_leaves_out_attacks_that_failed_the_gate_and_says_so():
    cells = frame(LISTS)
    cells.loc[cells["attack"].eq("badnets"), "gate"] = False
    (group,) = split_groups(deduplicate(cells), paper=Paper(layout="list"))
    (table,) = attack_tables(group, board_numbers(group), attack_numbers(group))
    assert [section.label for section in table.sections] == ["blended", "mean"]
    assert "2 victims failed the gate" in table.left_out


def test_architectures_and_budgets_stand_side_by_side():
    cells = frame(LISTS, models=("preactresnet18", "vgg"), seeds=(0,))
    report = report_of(cells)
    (table,) = architectures(report).texts
    assert table.spans[1:] == tuple(
        (f"{model}, SPC {spc}", 3) for model in ("preactresnet18", "vgg") for spc in (2, 10)
    )
    assert [section.label for section in table.sections] == ["badnets", "blended", "mean"]
    one = cells[cells["defense"].eq("ims") & cells["attack"].eq("blended")]
    row = next(row for row in table.sections[1].rows if row[0] == "ims")
    expected = one.sort_values(["model", "spc"])[["acc", "asr", "ra"]].to_numpy().ravel()
    assert [float(text) for text in row[1:]] == pytest.approx(100 * expected, abs=0.051)
    assert architectures(report_of(frame(LISTS))) is None


def test_every_table_has_the_order_of_the_board():
    cells = frame(("none", "anp", "ft", "ims", "nad"))
    report = report_of(cells)
    order = dict.fromkeys(board_order(report))
    for name, contents in make_tables(report).items():
        for text in contents.texts:
            for section in text.sections:
                names = ["none" if row[0] == "no defense" else row[0] for row in section.rows]
                shown = [name for name in order if name in names]
                if set(names) <= set(order) and not section.label.startswith("SPC 10"):
                    assert names == shown, name


def test_a_collapsed_defense_has_no_best_rank():
    cells = frame(("none", "anp", "ft", "ims"))
    cells.loc[cells["defense"].eq("anp"), ["asr", "acc_change"]] = [0.0, -0.5]
    (table,) = make_tables(report_of(cells))["ranks"].texts
    for section in table.sections:
        asr = {row[0]: row[table.header.index("ASR")] for row in section.rows}
        assert asr["anp"] == "1.00"
        assert not isinstance(asr["anp"], BestText)
        assert any(isinstance(text, BestText) for text in asr.values())


def test_data_sets_models_and_recipes_are_never_averaged_together():
    other = frame(data="cifar10", models=("preactresnet18", "vgg"))
    assert [group.title for group in split_groups(pd.concat([frame(), other]))] == [
        "cifar10 · preactresnet18",
        "cifar10 · vgg",
        "digits · preactresnet18",
    ]
    paper = frame().assign(recipe="paper")
    paper["key"] += "paper"
    both = split_groups(deduplicate(pd.concat([frame(), paper])))
    assert [group.title for group in both] == [
        "digits · preactresnet18 · fast",
        "digits · preactresnet18 · paper",
    ]
    alone = boards(frame())[0]
    assert [
        one.sections
        for one in boards(pd.concat([frame(), other]))
        if one.title.startswith("digits")
    ] == [alone.sections]


@pytest.mark.parametrize("count", [2, 20])
def test_the_terminal_board_fits_80_columns(count):
    names = tuple(f"defense_{number}" for number in range(count))
    lines = rendered(frame(("none", *names), (2, 10, 100))).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(
        any(line.split()[0] == name for line in lines if line.strip()) for name in names
    )  # whole on a line


def test_labels_are_text_in_every_format():
    cells = frame(("none", AWKWARD))
    assert AWKWARD in rendered(cells, 120)
    assert AWKWARD.replace("|", r"\|") in markdown(boards(cells))
    assert escape("50%_of & #1 $x {y}") == r"50\%\_of \& \#1 \$x \{y\}"
    assert (
        escape(r"a\b^c~d|e[f]")
        == r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\textbar{}e{[}f{]}"
    )


def test_a_long_board_is_split_into_floats_that_fit_a_page():
    names = tuple(f"d{number}" for number in range(20))
    text = latex(boards(frame(("none", *names), (2, 10, 100))), "leaderboard", Paper())
    assert text.count(r"\begin{table") == text.count(r"\end{table") == 2
    assert text.count("(continued)") == 1
    assert text.count("Sorted by RIR") == 1
    assert text.count(r"As Table~\ref{tab:leaderboard}.") == 1
    assert text.count(r"\textit{SPC") == 3


def test_a_section_that_is_longer_than_a_page_is_cut_into_equal_parts():
    rows = [(f"m{n}", "99.9") for n in range(54)]
    section = Section(label="SPC 2", rows=rows)
    table = TextTable(title="T", header=("defense", "ACC"), sections=[section], caption="")
    floats = latex([table], "t", Paper()).split(r"\end{table}")[:-1]
    assert [part.count("99.9") for part in floats] == [27, 27]


@pytest.mark.parametrize(
    ("defense", "model", "fits"), [("ft", "vgg_16&co", True), (AWKWARD, "vgg", False)]
)
def test_latex_compiles(tmp_path, defense, model, fits):
    cells = pd.concat([frame(("none", defense), models=(model,)), golden_frame()])
    compiled(tmp_path, latex(boards(cells), "board", Paper()), fits=fits)


def compiled(tmp_path, text, *, fits):
    """Compile a document with this text, and see whether it is wider than the page."""
    if shutil.which("pdflatex") is None:
        assert "CI" not in os.environ, "pdflatex is missing: install texlive-latex-base"
        pytest.skip("pdflatex is not installed")
    document = "\\documentclass{article}\n%s\n\\begin{document}\n%s\\end{document}\n"
    (tmp_path / "board.tex").write_text(document % (BOOKTABS, text), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "board.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert not fits or "Overfull" not in done.stdout
    assert (tmp_path / "board.pdf").exists()
