"""The entry of a script: its key, its Python, and what is missing."""

import sys

import pytest

from harness.bridges.script import entry
from harness.errors import UserError
from harness.execution.code_snapshot import snapshot_code
from tests.helpers import fake_backdoorbench, tiny_study


def test_the_key_follows_the_script_and_its_settings_not_their_place(ran, tmp_path):
    def key(root, **settings):
        script = fake_backdoorbench.script(root, **settings)
        return entry.resolve_defense(script, tmp_path).identity

    one, two = ran[0] / "bench", fake_backdoorbench.write_repository(tmp_path / "other")
    assert key(one) == key(two)
    assert key(one) != key(one, mode="fail")
    (two / "config/defense/shift/gtsrb.yaml").write_text("{mode: good, epochs: 2}")
    assert key(one) != key(two)
    three = fake_backdoorbench.write_repository(tmp_path / "third")
    (three / "defense/shift.py").write_text(fake_backdoorbench.SCRIPT + "\n")
    assert key(one) != key(three)


def test_a_python_is_found_beside_the_study_or_on_the_path(ran, tmp_path, monkeypatch):
    def python(asked):
        wanted = fake_backdoorbench.script(ran[0] / "bench")
        wanted["backdoorbench"]["python"] = asked
        return entry.resolve_defense(wanted, tmp_path).hyper["python"]

    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert python("venv/python") == str(
        tmp_path / "venv" / "python"
    )  # the link itself: it names the venv
    monkeypatch.setenv("PATH", str(tmp_path / "venv"))
    assert python("python") == str(tmp_path / "venv" / "python")
    assert python(None) == sys.executable


def test_a_script_stays_where_it_is_when_a_study_is_sent_away(ran, tmp_path):
    _, plan, _ = ran
    sent, _ = snapshot_code(plan, tmp_path)
    for before, after in zip(plan.cells, sent.cells, strict=True):
        assert after.key == before.key
        assert after.defense.hyper == before.defense.hyper


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": "nowhere"}, "nowhere is not a repository of BackdoorBench"),
        ({"script": "defense/shfit.py"}, "no file"),
        ({"script": "detection_pretrain/ac.py"}, "ac.py: a detection of poisoned images, which"),
        ({"python": "python-of-old"}, "no program 'python-of-old'"),
        ({"config": "settings.yaml"}, "no file"),
        ({"yml": {}}, "unknown key 'yml'; did you mean 'yaml'?"),
        ({"yaml": []}, "yaml"),
    ],
)
def test_what_is_missing_is_found_at_planning(ran, tmp_path, changes, message):
    wrong = fake_backdoorbench.script(ran[0] / "bench")
    wrong["backdoorbench"] |= changes
    study = fake_backdoorbench.write_study(ran[0], defenses=[wrong])
    with pytest.raises(UserError, match=r"both\.yaml") as error:
        tiny_study.load(study)
    assert message in str(error.value)
    assert "defenses[0].backdoorbench" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_victims_that_backdoorbench_does_not_know_are_skipped_with_the_reason(ran, tmp_path):
    script = fake_backdoorbench.script(ran[0] / "bench")
    plan = tiny_study.load(
        tiny_study.write_study(tmp_path, attacks=["badnets", "none"], defenses=[script])
    )
    assert {cell.skip for cell in plan.cells} == {
        "BackdoorBench has no data set 'digits'; it has cifar10, cifar100, gtsrb, tiny_imagenet",
        "BackdoorBench has no record of a clean model",
    }
    models = [{"mobilenet_v3_large": {"width": 0.5}}, "wrn_16_1"]
    plan = tiny_study.load(fake_backdoorbench.write_study(ran[0], models=models, defenses=[script]))
    assert [cell.skip.partition(";")[0] for cell in plan.cells] == [
        "BackdoorBench has mobilenet_v3_large with width=1.0 only",
        "BackdoorBench has no architecture 'wrn_16_1'",
    ]
