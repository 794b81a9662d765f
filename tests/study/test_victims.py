"""Poison rates, clean models, and which attacks are refused."""

from pathlib import Path

import pytest

from harness.data.cache import default_cache
from harness.errors import UserError
from harness.study.load import load_study
from tests.helpers.attack_study import planned


def refused(tmp_path, match, attacks, more=""):
    with pytest.raises(UserError, match=match):
        planned(tmp_path, attacks, more)


def test_a_rate_is_a_share_or_a_count_and_an_attack_may_have_its_own(tmp_path):
    study = planned(tmp_path, "[badnets, {blended: {rates: [0.003, 20]}}]", "rates: [0.001, 50]")
    found = [(v.attack.label, v.rate, round(v.poison_rate, 4)) for v in study.victims().values()]
    assert found == [
        ("badnets", 0.001, 0.001),
        ("badnets", 50, 0.037),
        ("blended", 0.003, 0.003),
        ("blended", 20, 0.0148),
    ]
    names = [victim.name for victim in study.victims().values()]
    assert names[1].endswith("badnets / 50 samples / seed 0")
    assert len(set(names)) == 4


@pytest.mark.parametrize("rates", ["[0]", "[1.5]", "[-0.1]", "[]", "[true]", "[0.1, 0.1]"])
def test_rates_that_are_none(tmp_path, rates):
    refused(tmp_path, "rates", "[badnets]", f"rates: {rates}")
    refused(tmp_path, r"attacks\[0\].badnets", f"[{{badnets: {{rates: {rates}}}}}]")


def test_a_share_of_the_class_is_reported_as_one_of_the_whole(tmp_path):
    study = planned(tmp_path, "[{sig: {rate_of: class, rates: [0.5]}}]", "target: 3")
    (victim,) = study.victims().values()
    assert victim.poison_rate == pytest.approx(0.5 * 138 / 1352)


def test_what_a_class_cannot_supply_is_refused_with_the_largest_rate(tmp_path):
    refused(
        tmp_path,
        r"attacks\[0\]: sig at rate 0.1 poisons 135 samples, but class 0 of digits has 134; "
        r"the largest possible rate is 0.0991 or 134 samples",
        "[sig]",
    )
    planned(tmp_path, "[{sig: {rates: [0.0991, 134]}}]")
    refused(tmp_path, "lc at rate 135", "[{lc: {rate_of: class, rates: [135]}}]")
    refused(tmp_path, "the training set of digits has 1352", "[badnets]", "rates: [2000]")


def test_all_to_all_only_where_the_attack_has_it(tmp_path):
    planned(tmp_path, "[badnets, wanet, none]", "target: all-to-all")
    refused(
        tmp_path, r"attacks\[1\]: sig .* no all-to-all form", "[badnets, sig]", "target: all-to-all"
    )


def test_a_clean_model_is_one_whatever_the_rates_and_the_target(tmp_path):
    study = planned(tmp_path, "[badnets, none, lf]", "rates: [0.1, 0.2]\ntarget: 2")
    victims = list(study.victims().values())
    (clean,) = [victim for victim in victims if victim.is_clean]
    assert victims[0] is not clean or len(victims) == 5
    assert {victim.attack.name for victim in victims if victim.clean == clean} == {"lf"}
    assert {key: x.key for key, x in study.clean.items()} == {
        victim.key: clean.key for victim in victims if not victim.is_clean
    }
    other = planned(tmp_path, "[none]", "target: 5")
    assert list(other.victims()) == [clean.key]


def test_clean_models_are_trained_only_where_they_are_asked_for(tmp_path):
    assert planned(tmp_path, "[badnets]").clean == {}
    by_gate = planned(tmp_path, "[badnets]", "gate: {acc_margin: 0.02}")
    assert [victim.attack.name for victim in by_gate.victims().values()] == ["none", "badnets"]
    by_need = planned(tmp_path, "[badnets, lc]", "target: 3")
    assert len(by_need.clean) == 2


def test_a_clean_model_is_scored_with_each_attacks_trigger_once(tmp_path):
    study = planned(tmp_path, "[none, badnets, blended]", "rates: [0.1, 0.2]")
    (cell,) = [cell for cell in study.cells if cell.victim.is_clean]
    assert [(v.attack.name, v.rate) for v in cell.triggers] == [("badnets", 0.2), ("blended", 0.2)]
    alone = planned(tmp_path, "[none]")
    assert (
        alone.cells[0].defense_key == cell.defense_key
    )  # the same repair, whatever it is scored with
    assert alone.cells[0].key != cell.key


def test_the_configs_are_valid():
    for path in Path("configs").glob("attacks_digits.yaml"):
        assert len(load_study(path, None, default_cache()).victims()) == 12


def test_an_own_attack_that_fails_at_planning_is_named_beside_other_faults(tmp_path):
    (tmp_path / "own.py").write_text(
        "from harness.contract import attack\n"
        "def trigger(images, state):\n    return images\n"
        "def fault(hyper, shape):\n    return shape[3]\n"
        "@attack(paper='x', year=2026, trigger=trigger, fault=fault)\n"
        "def own(train, goal, hyper, ctx):\n    return None\n"
    )
    with pytest.raises(UserError) as error:
        planned(tmp_path, "[own.py]", "target: 99")
    lines = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["target", "attacks[0]"]
    assert "IndexError: tuple index out of range" in lines[1]
