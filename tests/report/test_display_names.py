"""Reports show display names; CSV files keep the labels of the study."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from harness.data.cache import default_cache
from harness.plan.registry import describe
from harness.report.frame.labels import StudyLabels
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import make_figures
from harness.report.write import write_report
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers.synthetic_frames import NAMES, frame, report_of

STUDY = """
name: {name}
data: [digits]
models: [preactresnet18: {{width: 8}}]
attacks: [badnets]
defenses: [none, ft: {{lr: {lr}}}, fp]
budgets: [{{spc: 2}}]
seeds: [0]
figures: []
"""


@pytest.fixture
def study(tmp_path):
    """Return a study with another learning rate of ft."""

    def load(name="a", lr=0.01):
        path = tmp_path / f"{name}.yaml"
        path.write_text(STUDY.format(name=name, lr=lr))
        return load_study(path, None, default_cache())

    return load


def name_of(kind, ref):
    name = describe(kind, ref).display_name
    assert name != ref, "else the tests show nothing"
    return name


def test_tables_and_the_page_show_display_names_and_csv_files_keep_labels(tmp_path, study):
    report = load_report_data([study()], Store(tmp_path / "store"))
    written = write_report(report, tmp_path / "report")
    board = (tmp_path / "report" / "leaderboard.md").read_text(encoding="utf-8")
    page = written.page.read_text(encoding="utf-8")
    for shown in (name_of("defense", "ft"), name_of("attack", "badnets"), "no defense"):
        assert shown in board
        assert shown in page
    assert f"digits · {name_of('model', 'preactresnet18')}" in board
    numbers = pd.read_csv(tmp_path / "report" / "leaderboard.csv")
    assert set(numbers["defense"]) == {"none", "ft", "fp"}
    assert set(numbers["model"]) == {"preactresnet18"}


def test_a_name_that_means_two_things_carries_its_study(study):
    names = StudyLabels([study("a"), study("b", lr=0.1)]).display_names()
    assert names.of("defense", "ft [a]") == f"{name_of('defense', 'ft')} [a]"
    assert names.of("defense", "ft [b]") == f"{name_of('defense', 'ft')} [b]"
    assert names.of("defense", "fp") == name_of("defense", "fp")


def test_methods_with_one_display_name_keep_their_labels(study):
    plan = study()
    cells = [replace(cell, defense=replace(cell.defense, display="Same")) for cell in plan.cells]
    names = StudyLabels([replace(plan, cells=cells)]).display_names()
    assert names.of("defense", "ft") == "ft"
    assert names.of("defense", "fp") == "fp"
    assert names.of("attack", "badnets") == name_of("attack", "badnets")


def test_figures_show_display_names_and_their_data_keep_labels():
    report = report_of(frame(), figures=("curves", "heatmap"), names=NAMES)
    curves, heatmap = make_figures(report)
    labels = [line.get_label() for line in curves.figure.axes[0].lines]
    assert labels == ["no defense", "anp", "FT", "IMS"]
    assert curves.title == "Budget curves, digits · PreAct-ResNet-18"
    assert {"ft", "ims"} < set(curves.data["defense"])
    rows = [label.get_text() for label in heatmap.figure.axes[0].get_yticklabels()]
    assert rows == ["BadNets", "Blended"]
