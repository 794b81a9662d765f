"""Entries of a defense that differ in one hyperparameter are an ablation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report.frame.sweeps import sweeps
from harness.report.outputs import make_figures, make_tables
from tests.helpers import tiny_study
from tests.helpers.synthetic_frames import frame, report_of

VALUES = ("ims (k=5)", "ims (k=10)", "ims (k=20)")

OWN = """
from dataclasses import dataclass

from harness.contract import defense


@dataclass(frozen=True)
class Hyper:
    k: int = 2
    layers: tuple[int, ...] = (1,)


@defense(paper="ours", year=2026, family="pruning")
def mine(model, budget, hyper: Hyper, ctx):
    return model
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Made-up scores of IMS with three values of k, and of fine-tuning."""
    folder = tmp_path_factory.mktemp("study")
    entries = ["none", "ft", {"ims": {"k": [20, 5, 10]}}]
    study = tiny_study.load(tiny_study.write_study(folder, defenses=entries))
    made = report_of(frame(("none", "ft", *VALUES)))
    return replace(made, studies=(study,), figures=("ablation",), tables=("hyperparameters",))


def test_a_sweep_has_the_values_in_rising_order_and_the_default(report):
    (sweep,) = sweeps(report.studies)
    assert (sweep.defense, sweep.parameter, sweep.default) == ("ims", "k", 20)
    assert sweep.values == dict(zip(VALUES, (5, 10, 20), strict=True))
    assert list(sweep.values) == list(VALUES)


def test_a_grid_of_two_hyperparameters_is_a_sweep_of_each(tmp_path):
    entries = ["none", {"ims": {"k": [5, 20], "sparsity": [1, 10, 100]}}]
    study = tiny_study.load(tiny_study.write_study(tmp_path, defenses=entries))
    found = {sweep.parameter: list(sweep.values.values()) for sweep in sweeps([study])}
    assert found == {"k": [5, 20], "sparsity": [1, 10, 100]}


def test_an_own_method_has_a_sweep_with_its_default_too(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    entries = ["none", {"mine.py": {"k": [3, 1, 2], "layers": [4, 5]}}]
    study = tiny_study.load(tiny_study.write_study(tmp_path, defenses=entries))
    labels = list(dict.fromkeys(cell.defense.label for cell in study.cells))
    assert labels == ["none", *(f"mine (k={k}, layers=[4,5])" for k in (3, 1, 2))]
    (sweep,) = sweeps([study])
    assert (sweep.parameter, sweep.default) == ("k", 2)
    assert list(sweep.values.values()) == [1, 2, 3]


def test_the_figure_draws_every_budget_and_marks_the_default(report):
    (ablation,) = make_figures(report)
    assert ablation.stem == "ablation_ims_k"
    assert ablation.data["value"].unique().tolist() == ["5", "10", "20"]
    for axes in ablation.figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "10", "20"]
        assert [line.get_label() for line in axes.lines[:2]] == ["SPC 2", "SPC 10"]
        assert axes.lines[2].get_xdata()[0] == 2  # the default, 20, is the third value


def test_many_long_values_stand_upright(report, tmp_path):
    values = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
    path = tiny_study.write_study(tmp_path, defenses=["none", {"ft": {"lr": values}}])
    study = tiny_study.load(path)
    (sweep,) = sweeps([study])
    made = replace(report_of(frame(("none", *sweep.values))), studies=(study,))
    (many,) = make_figures(replace(made, figures=("ablation",)))
    (few,) = make_figures(report)
    turned = [
        {tick.get_rotation() for axes in drawing.figure.axes for tick in axes.get_xticklabels()}
        for drawing in (few, many)
    ]
    assert turned == [{0.0}, {90.0}]


def test_the_table_has_a_row_per_value(report):
    (table,) = make_tables(report)["hyperparameters"].texts
    assert table.title.startswith("ims, ")
    undefended, sweep = table.sections
    assert [row[0] for row in undefended.rows] == ["no defense"]
    assert sweep.label == "k, default 20"
    assert [row[0] for row in sweep.rows] == list(VALUES)


def test_the_setting_that_several_sweeps_share_stands_above_them(report, tmp_path):
    labels = ("ims", "ims (k=5)", "ims (selection=false)")
    entries = ["none", "ims", {"ims": {"k": 5}}, {"ims": {"selection": False}}]
    study = tiny_study.load(tiny_study.write_study(tmp_path, defenses=entries))
    made = replace(report_of(frame(("none", *labels))), studies=(study,), tables=report.tables)
    (table,) = make_tables(made)["hyperparameters"].texts
    rows = {section.label: [row[0] for row in section.rows] for section in table.sections}
    assert rows == {
        "": ["no defense", "ims"],
        "k, default 20": ["ims (k=5)"],
        "selection, default True": ["ims (selection=false)"],
    }


def test_a_study_without_variants_has_no_ablation(tmp_path):
    assert sweeps([tiny_study.load(tiny_study.write_study(tmp_path))]) == []
