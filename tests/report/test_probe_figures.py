"""The figures of what probes log: pruning curves, and pictures of features."""

from __future__ import annotations

import pytest

from harness.report.figures.activation_pictures import MAX_COLUMNS, chosen_cells
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import make_figures
from harness.store.store import store_of
from tests.helpers import tiny_study
from tests.helpers.synthetic_frames import frame, report_of

FIGURES = ["pruning_curves", "activation_pictures"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A study that was run without these probes and then with them: its report, both figures."""
    folder = tmp_path_factory.mktemp("probe-figures")
    study = {
        "defenses": ["none", {"fp": {"epochs": 1}}, "random_prune"],
        "budgets": [{"spc": 2}, {"spc": 4}],
        "recipe": {"fast": {"epochs": 3}},
        "gate": {"asr": 0.0, "acc": 0.0, "acc_margin": 1.0},
        "figures": FIGURES,
    }
    probes = [{"pruning": {"steps": 4}}, {"features": {"images": 30}}]
    tiny_study.run(tiny_study.write_study(folder / "plain", **study), folder / "out")
    path = tiny_study.write_study(folder / "probed", **study, probes=probes)
    records = tiny_study.run(path, folder / "out")
    assert {record.status for record in records.values()} == {"ok"}
    report = load_report_data([tiny_study.load(path)], store_of(folder / "out"))
    return report, {figure.stem: figure for figure in make_figures(report)}


def test_a_pruning_curve_runs_no_defense_again(drawn):
    (study,) = drawn[0].studies
    repeated = {
        (run.probe.name, run.cell is None): drawn[0].records.probe(run.key).result.repeated
        for run in study.probe_runs
    }
    assert repeated == {
        ("pruning", True): False,
        ("pruning", False): False,
        ("features", True): False,
        ("features", False): True,
    }


def test_a_pruning_curve_begins_at_the_victim_and_only_where_there_is_an_order(drawn):
    report, found = drawn
    data = found["pruning_curves"].data
    assert set(data["defense"]) == {"fp"}
    assert set(data["budget"]) == {"SPC 4"}
    cell = report.frame.query("defense == 'fp' and budget == 'SPC 4'").iloc[0]
    start = data.set_index("step").loc[0]
    assert (start["share"], start["n_cells"]) == (0, 1)
    assert start["acc"] == pytest.approx(cell["acc_before"])
    assert start["asr"] == pytest.approx(cell["asr_before"])
    assert data["share"].is_monotonic_increasing
    acc, asr = found["pruning_curves"].figure.axes
    assert (acc.get_title(), asr.get_title()) == ("ACC (%)", "ASR (%)")
    assert list(asr.lines[0].get_ydata()) == pytest.approx(list(100 * data["asr"]))


def test_a_picture_shows_a_victim_before_and_after(drawn):
    report, found = drawn
    data = found["activation_pictures"].data
    asr = report.frame.groupby("defense")["asr"].min()
    panels = found["activation_pictures"].figure.axes
    names = [axes.get_title().partition("\n")[0] for axes in panels]
    assert names[0] == "no defense"
    assert sorted(names[1:]) == ["FP", "Random pruning"]
    assert len(asr) == 3
    for _, points in data.groupby("defense"):
        assert points["triggered"].value_counts().max() <= 30
        assert (points["label"] != points["target"]).sum() > points["triggered"].sum()
        truth = points.loc[points["triggered"].eq(1), "label"]
        assert not truth.eq(points["target"].iloc[0]).any()
    clean, target, triggered = panels[0].lines
    shown = [len(line.get_xdata()) for line in (clean, target, triggered)]
    first = data[data["defense"].eq("none")]
    assert sum(shown) == len(first)
    assert shown[2] == first["triggered"].sum()


def test_a_collapsed_model_is_not_among_the_best():
    defenses = ("none", *(f"method_{i}" for i in range(MAX_COLUMNS)))
    cells = frame(defenses, spcs=(2,), seeds=(0,), attacks=("badnets",))
    collapsed = cells["defense"].eq("method_0")
    cells.loc[collapsed, ["acc", "asr", "ra", "rir"]] = (0.1, 0.0, 0.0, 0.1)
    (group,) = report_of(cells).groups
    chosen = [
        cell["defense"] for cell, _ in chosen_cells(group, {key: [] for key in cells["key"]}, "rir")
    ]
    assert chosen[0] == "none"
    assert sorted(chosen[1:]) == [f"method_{i}" for i in range(1, MAX_COLUMNS)]


def test_a_study_without_these_probes_has_no_such_figure(tmp_path):
    path = tiny_study.write_study(tmp_path, figures=FIGURES)
    report = load_report_data([tiny_study.load(path)], store_of(tmp_path / "out"))
    assert not list(make_figures(report))
