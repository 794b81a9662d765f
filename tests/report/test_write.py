from __future__ import annotations

import pandas as pd
import pytest
from rich.console import Console

from harness.report import figure_files, write
from harness.report.csv_files import write_numbers
from harness.report.write import write_report
from tests.helpers.synthetic_frames import CHANGES, COLUMNS, fail, frame, report_of

CURVES = ["curves.csv", "curves.pdf", "curves.png"]
BOARD = [
    *("leaderboard.csv", "leaderboard.md", "leaderboard.tex"),
    *("paper.tex", "records.csv", "report.html"),
]
TABLES = [
    "attacks.csv",
    "attacks.md",
    "attacks.tex",
    "budgets.md",
    "budgets.tex",
    "comparisons.csv",
    "comparisons.md",
    "comparisons.tex",
    "ranks.csv",
    "ranks.md",
    "ranks.tex",
    "resources.md",
    "resources.tex",
    "victims.csv",
    "victims.md",
    "victims.tex",
]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_file_is_written_and_nothing_else(tmp_path):
    written = write_report(report_of(frame()), tmp_path / "out" / "study")
    assert [path.name for path in written.paths] == sorted(BOARD + TABLES + CURVES)
    assert sorted(written.paths) == sorted((tmp_path / "out" / "study").iterdir())


def test_shuffled_rows_give_the_same_bytes(tmp_path):
    cells = frame()
    write_report(report_of(cells), tmp_path / "a")
    write_report(report_of(cells.sample(frac=1, random_state=3)), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_figures_of_very_many_cells_are_written_by_several_processes(tmp_path, monkeypatch):
    whole = report_of(
        frame(), figures=("curves", "tradeoff", "heatmap", "spread", "critical", "cost")
    )
    write_report(whole, tmp_path / "here")
    monkeypatch.setattr(figure_files, "LARGE", 1)
    write_report(whole, tmp_path / "beside")
    assert contents(tmp_path / "beside") == contents(tmp_path / "here")


def test_records_keep_every_cell_and_every_digit(tmp_path):
    cells = frame()
    cells = fail(cells, cells["seed"].eq(1), "error", 'Traceback, "quoted"\nand broken')
    write_report(report_of(cells), tmp_path)
    read = pd.read_csv(tmp_path / "records.csv")
    assert list(read.columns) == [*COLUMNS, *CHANGES]
    assert len(read) == len(cells)
    expected = cells.set_index("key").loc[read["key"]]
    pd.testing.assert_series_equal(read.set_index("key")["acc"], expected["acc"], check_exact=True)


def test_several_models_have_a_figure_each_and_old_figures_go(tmp_path):
    write_report(report_of(frame()), tmp_path)
    written = write_report(report_of(frame(models=("preactresnet18", "vgg/16"))), tmp_path)
    figures = [path.name for path in written.paths if path.suffix == ".pdf"]
    assert figures == ["curves_digits_preactresnet18.pdf", "curves_digits_vgg-16.pdf"]
    assert sorted(contents(tmp_path)) == sorted(path.name for path in written.paths)


@pytest.mark.parametrize(
    "cells",
    [pd.DataFrame(columns=[*COLUMNS, *CHANGES]), frame().iloc[:0]],
    ids=["untyped", "typed"],
)
def test_an_empty_frame_says_so(tmp_path, cells):
    written = write_report(report_of(cells), tmp_path)
    assert [path.name for path in written.paths] == BOARD
    read = pd.read_csv(tmp_path / "records.csv")
    assert list(read.columns) == [*COLUMNS, *CHANGES]
    assert read.empty
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8") == "Nothing to average yet.\n"


def test_nothing_finished_says_so_under_the_board(tmp_path):
    cells = frame()
    write_report(report_of(fail(cells, cells["key"].notna(), "missing", "")), tmp_path)
    assert "Nothing to average yet. Left out: 32 missing." in (
        tmp_path / "leaderboard.md"
    ).read_text(encoding="utf-8")


def test_a_budget_without_a_place_on_the_axis_is_noted(tmp_path):
    written = write_report(
        report_of(frame(spcs=(2,)).assign(budget="5 %", spc=float("nan"))), tmp_path
    )
    of_one_budget = [name for name in BOARD + TABLES if not name.startswith("budgets.")]
    assert [path.name for path in written.paths] == sorted(of_one_budget)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(written.terminal)
    assert "Figure curves: 5 % left out, samples per class unknown." in shown.get()


def test_a_report_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch):
    write_report(report_of(frame()), tmp_path)
    before = contents(tmp_path)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(write, "latex", broken)
    with pytest.raises(OSError, match="disk full"):
        write_report(report_of(frame(seeds=(0,))), tmp_path)
    assert contents(tmp_path) == before


def test_statistics_are_written_as_pandas_would_with_nine_digits(tmp_path):
    table = frame().assign(
        gate=[True, None] * 16,
        target=["all-to-all", 0] * 16,
        error=['"a", b', "c\nd"] * 16,
        acc=[1 / 3, float("nan"), 1e-12, -0.0] * 8,
        reason=pd.Categorical(["", None, "x, y", ""] * 8),
    )
    write_numbers(table, tmp_path / "ours.csv")
    table.to_csv(tmp_path / "its.csv", index=False, lineterminator="\n", float_format="%.9g")
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "its.csv").read_bytes()
