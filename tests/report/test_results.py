"""Results in Python: the columns of the DataFrames, figures to restyle, the notebook."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import harness
from harness.errors import UserError
from harness.report.frame.columns import CELL_COLUMNS, DERIVED_COLUMNS, VICTIM_COLUMNS
from harness.report.write import write_report
from tests import regenerate
from tests.helpers.notebooks import NOTEBOOK, executed
from tests.helpers.synthetic_store import fabricate

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    study, _ = fabricate(folder, widths=(4, 8))
    return harness.results(study, out=folder / "out")


def test_every_column_is_documented_and_in_its_unit(results):
    cells, victims = results.cells, results.victims
    assert list(cells) == [*CELL_COLUMNS, *DERIVED_COLUMNS]
    assert list(victims) == list(VICTIM_COLUMNS)
    text = regenerate.RECORD.read_text(encoding="utf-8")
    assert regenerate.record_columns() == {regenerate.RECORD: text}
    for frame, columns in ((cells, CELL_COLUMNS | DERIVED_COLUMNS), (victims, VICTIM_COLUMNS)):
        for name, column in columns.items():
            if column.unit == "share":
                least = -1 if name.endswith("_change") else 0
                assert frame[name].dropna().between(least, 1).all(), name
            elif column.unit:
                assert pd.api.types.is_numeric_dtype(frame[name]), name


def test_a_figure_is_matplotlibs_and_is_shown_as_it_was_changed(results):
    drawing = results.draw("tradeoff", "digits_preactresnet18-width-4")
    assert isinstance(drawing.figure, Figure)
    before = drawing._repr_png_()
    drawing.figure.axes[0].set_title("changed")
    after = drawing._repr_png_()
    assert before.startswith(PNG)
    assert after.startswith(PNG)
    assert before != after
    assert set(drawing.data["defense"]) == {"none", "method_00", "method_01", "method_02"}


def test_a_table_and_the_results_are_shown_as_markdown(results):
    shown = results._repr_markdown_()
    assert shown == results.table("leaderboard")._repr_markdown_()
    assert "| no defense " in shown
    assert results.table("ranks").numbers["rank"].min() >= 1


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda x: x.draw("tradeof"), "no figure 'tradeof'; did you mean 'tradeoff'"),
        (lambda x: x.table("rank"), "no table 'rank'; did you mean 'ranks'"),
        (lambda x: x.draw("ablation"), "figure ablation: there is nothing to draw here"),
        (lambda x: x.table("hyperparameters"), "table hyperparameters: it has no rows here"),
        (lambda x: x.draw("curves"), "figure curves: choose a group; known: digits_preact"),
        (lambda x: x.draw("curves", "digits_preactresnet18-width-5"), "choose a group; did you"),
    ],
)
def test_a_wrong_name_is_one_line(results, ask, line):
    with pytest.raises(UserError, match=line):
        ask(results)


def test_records_csv_gives_the_same_cells_statistics_and_figures(results, tmp_path):
    write_report(replace(results.report, figures=(), tables=()), tmp_path)
    read = harness.read_results(tmp_path / "records.csv")
    order = ["key", "study"]
    expected, found = (
        frame.sort_values(order, ignore_index=True).astype({"target": str, "gate": object})
        for frame in (results.cells, read.cells)
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    ours, theirs = (x.table("leaderboard").numbers for x in (results, read))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)
    group = "digits_preactresnet18-width-8"
    ours, theirs = (x.draw("heatmap", group).data for x in (results, read))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)
    passed = results.victims.query("verdict == 'passed'")["key"]
    assert set(read.victims.query("verdict == 'passed'")["key"]) == set(passed)
    with pytest.raises(UserError, match="there is nothing to draw"):
        read.draw("anatomy", group)


def test_an_older_records_csv_is_read_and_another_file_is_refused(results, tmp_path):
    path = tmp_path / "records.csv"
    added = list(CELL_COLUMNS)[list(CELL_COLUMNS).index("error") + 1 :]
    cells = results.cells.drop(columns=[*added, "solved"])
    cells.to_csv(path, index=False)
    read = harness.read_results(path).cells
    assert list(read) == [*CELL_COLUMNS, *DERIVED_COLUMNS]
    assert set(read["draw"]) == {0}
    assert np.nansum(read["solved"]) == np.nansum(results.cells["solved"])
    pd.DataFrame({"acc": [1.0]}).to_csv(path, index=False)
    with pytest.raises(UserError, match=r"not a records\.csv: no column"):
        harness.read_results(path)
    with pytest.raises(UserError, match="No such file"):
        harness.read_results(tmp_path / "none.csv")


def test_built_in_methods_have_their_names_without_a_study(results, tmp_path):
    path = tmp_path / "records.csv"
    cells = results.cells.replace({"defense": {"method_00": "ims (k=5)", "method_01": "ours"}})
    cells.to_csv(path, index=False)
    paper = harness.Paper(names={"ours": "Ours"}, defenses=["ims (k=5)", "ours"])
    read = harness.read_results(path, paper)
    assert read.report.names.of("defense", "ims (k=5)") == "IMS (k=5)"
    assert "| Ours " in read._repr_markdown_()
    assert "method_02" not in read._repr_markdown_()


def test_the_notebook_runs_and_shows_what_is_committed():
    committed = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    notebook = executed(NOTEBOOK)
    pictures = [without_pictures(notebook), without_pictures(committed)]
    assert notebook == committed
    assert pictures == [1, 1]
    assert NOTEBOOK.stat().st_size < 150_000


def without_pictures(notebook):
    """Take the pictures out, whose bytes depend on fonts and libraries; return how many."""
    found = 0
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            found += output["data"].pop("image/png", "").startswith("iVBORw0KGgo")
    return found
