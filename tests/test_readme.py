"""What the README shows works as printed."""

import re
from pathlib import Path

import yaml

from tests.helpers import tiny_study

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)[0]


def test_the_own_defense_runs_with_its_hyperparameters(tmp_path):
    (tmp_path / "shrink.py").write_text(block("python"), encoding="utf-8")
    path = tiny_study.write_study(
        tmp_path, defenses=["none", {"./shrink.py": {"keep": 0.5, "epochs": 1}}]
    )
    latest = tiny_study.run(path, tmp_path / "out")
    record = tiny_study.cell_record(latest, "shrink")
    assert record["status"] == "ok", record.get("traceback")
    assert record["spec"]["defense"]["hyper"] == {"keep": 0.5, "epochs": 1}


def test_the_study_is_valid(tmp_path):
    study = yaml.safe_load(block("yaml"))
    assert study["data"] == ["cifar10"]
    path = tiny_study.write_study(tmp_path, **{**study, "data": ["digits"]})
    cells = tiny_study.plan(path).cells
    assert len(cells) == 2 * 2 * 3 * 5 * 3
    assert {cell.skip for cell in cells} == {None, "diverges at this width"}


def test_every_study_of_the_project_is_valid():
    for path in sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["data"] == ["digits"] or "digits" in str(content["data"]):
            assert tiny_study.plan(path).cells


def test_the_first_screen_names_the_two_commands():
    top = README.splitlines()[:20]
    assert any(line.startswith("make quickstart") for line in top)
    assert any(line.startswith("make test") for line in top)
