"""Stability: which cells a study gets beside its own, and what the table makes of them."""

from dataclasses import asdict

import pandas as pd
import pytest

from harness.errors import UserError
from harness.plan.registry import describe, names
from harness.plan.validation import validate
from harness.report.frame.varied import VariedDefense
from harness.report.tables.stability import stability
from tests.helpers import synthetic_frames, tiny_study


def plan(folder, **changes):
    return tiny_study.load(tiny_study.write_study(folder, **changes))


def test_each_declared_hyperparameter_runs_at_a_third_and_at_three_times(tmp_path):
    defenses = ["none", {"ft": {"epochs": 10}}]
    study = plan(tmp_path / "a", defenses=defenses, stability=True, probes=["tac"])
    plain = plan(tmp_path / "b", defenses=defenses)
    assert [cell.key for cell in study.cells[:2]] == [cell.key for cell in plain.cells]
    changed = {x.method.label: x.method.hyper for x in study.stability}
    base = plain.cells[1].defense.hyper
    assert changed == {
        "ft (lr=0.00333)": {**base, "lr": 0.00333},
        "ft (epochs=3)": {**base, "epochs": 3},  # a whole number stays one
        "ft (lr=0.03)": {**base, "lr": 0.03},
        "ft (epochs=30)": {**base, "epochs": 30},
    }
    assert len(study.cells) == 6
    assert not {run.cell.defense.label for run in study.probe_runs if run.cell} & set(changed)


def test_what_a_study_lists_already_is_no_cell_twice(tmp_path):
    study = plan(tmp_path, defenses=[{"ft": {"epochs": [10, 30]}}], stability=True)
    keys = [cell.key for cell in study.cells]
    assert len(keys) == len(set(keys))
    assert {cell.defense.hyper["epochs"] for cell in study.cells} == {3, 10, 30, 90}


@pytest.mark.parametrize("name", names("defense"))
def test_every_defense_declares_values_that_it_takes(name):
    method = describe("defense", name)
    values = asdict(method.hyper())
    assert method.info.varied or method.info.family == "control"
    for parameter in method.info.varied:
        for factor in (1 / 3, 3):
            scaled = values[parameter] * factor
            whole = isinstance(values[parameter], int)
            validate(
                method.hyper, {**values, parameter: max(1, round(scaled)) if whole else scaled}
            )


OWN = """from dataclasses import dataclass
from harness.contract import defense

@dataclass(frozen=True, kw_only=True)
class Hyper:
    strength: float = 0.5
    kind: str = "a"

@defense(paper="", year=2026, family="control", varied=VARIED)
def own(model, budget, hyper, ctx):
    return model
"""


def test_a_defense_of_ones_own_declares_them_too(tmp_path):
    (tmp_path / "own.py").write_text(OWN.replace("VARIED", '("strength",)'))
    study = plan(tmp_path, defenses=["./own.py"], stability=True)
    assert [x.value for x in study.stability] == [0.167, 1.5]
    (tmp_path / "own.py").write_text(OWN.replace("VARIED", '("strenght", "kind")'))
    with pytest.raises(UserError) as caught:
        plan(tmp_path, defenses=["./own.py"])
    assert "varied: Hyper has no 'strenght'; did you mean 'strength'?" in str(caught.value)
    assert "the default of Hyper.kind is no number" in str(caught.value)


def test_the_table_has_the_mean_and_the_worst_of_absolute_changes():
    cells = synthetic_frames.frame(("none", "ft", "ft (lr=0.1)"), (2,), (0, 1))
    ft = cells["defense"].eq("ft")
    moved = cells["defense"].eq("ft (lr=0.1)")
    cells.loc[ft, ["acc", "asr"]] = [0.9, 0.2]
    cells.loc[moved, "acc"] = 0.88
    cells.loc[moved, "asr"] = [0.1, 0.3, 0.2, 0.6]  # two attacks, two seeds
    cells = synthetic_frames.fail(
        cells, moved & cells["seed"].eq(0) & cells["attack"].eq("blended"), "error"
    )
    varied = (VariedDefense("ft (lr=0.1)", "ft", "lr", 0.1),)
    report = synthetic_frames.report_of(cells, variations=varied)
    found = stability(report)
    (row,) = found.texts[0].sections[0].rows
    counted = cells.loc[moved, "asr"].dropna().sub(0.2).abs()
    shown = [f"{100 * x:.1f}" for x in (0.02, 0.02, counted.mean(), counted.max())]
    assert row == ("ft", *shown, "lr=0.1", "3/4")
    assert set(report.attacked["defense"]) == {"none", "ft"}  # boards list no changed defense
    assert report.defenses == ["ft"]
    assert found.numbers["n_cells"].tolist() == [3]
    assert isinstance(found.numbers, pd.DataFrame)
