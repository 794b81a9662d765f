"""init writes files that run at once; check finds what is wrong with a method in seconds."""

import json

import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UserError
from harness.execution import trial
from harness.study.json_schema import OWN_FILE
from harness.study.load import load_study
from tests import regenerate
from tests.helpers import tiny_study

HEAD = """import torch
from dataclasses import dataclass
from harness.contract import Count, OutOfTimeError, defense

@dataclass(frozen=True, kw_only=True)
class Hyper:
    epochs: Count = 1

@defense(paper="", year=2026, family="control")
def bad(model, budget, hyper, ctx):
"""
BAD = {
    "budget.images.zero_()\n    return model": "budget.images or budget.labels was written to",
    "return None": "a defense returns an nn.Module or a Defended, not NoneType",
    "return model.no_such_layer": "AttributeError: ",
    "model[1].linear.bias.data.fill_(float('nan'))\n    return model": "the model gives NaN or",
    "torch.seed()\n    x = model[1].linear.weight.data\n    x[:] = torch.rand(x.shape)\n"
    "    return model": "two runs of the same seeds differ",
    "raise OutOfTimeError('late')": f"no end after {trial.LIMIT:g} s",
}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run a command in an empty folder; return the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial, "EPOCHS", 1)

    def run(*arguments):
        result = CliRunner().invoke(cli, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.return_value, result.output

    return run


@pytest.mark.parametrize("kind", ["defense", "attack", "model"])
def test_a_written_method_passes_its_check(command, kind):
    assert "wrote own.py; try it: defuse check own.py" in command("init", kind, "own.py")[1]
    code, said = command("check", "own.py")
    assert (code, said.count("  ok  ")) == (0, 3 if kind == "defense" else 2), said
    with pytest.raises(UserError, match=r"own\.py exists"):
        command("init", kind, "own.py")


def test_a_written_study_is_valid_also_with_a_written_defense(command, tmp_path):
    command("init", "study")
    command("init", "defense")
    text = (tmp_path / "study.yaml").read_text()
    assert len(load_study("study.yaml").cells) == 2 * 2 * 2 * 4
    (tmp_path / "study.yaml").write_text(text.replace("# - ./my_defense", "- ./my_defense"))
    assert len(load_study("study.yaml").cells) == 2 * 2 * 2 * 5


def test_the_schema_lies_beside_a_written_study(command, tmp_path):
    (tmp_path / "study.schema.json").write_text("{}")
    command("init", "study", "mine.yaml")
    head = (tmp_path / "mine.yaml").read_text().splitlines()[0]
    assert head == "# yaml-language-server: $schema=study.schema.json"
    schema = (tmp_path / "study.schema.json").read_bytes()
    assert schema == regenerate.STUDY_SCHEMA.read_bytes()


@pytest.mark.parametrize(("body", "fault"), BAD.items())
def test_what_is_wrong_with_a_defense_is_one_line(command, tmp_path, body, fault):
    (tmp_path / "bad.py").write_text(f"{HEAD}    {body}\n")
    code, said = command("check", "bad.py")
    (line,) = [line for line in said.splitlines() if "FAULT" in line]
    assert code == 1
    assert fault in line


def test_the_defenses_of_a_study_are_tried_on_its_networks(command, tmp_path):
    (tmp_path / "bad.py").write_text(f"{HEAD}    return model[1].linear and model\n")
    path = tiny_study.write_study(
        tmp_path, models=[{"preactresnet18": {"width": 2}}, "wrn_16_1"], defenses=["./bad.py"]
    )
    code, said = command("check", str(path))
    assert code == 1
    assert "ok    begins on preactresnet18 with digits" in said
    assert "FAULT begins on wrn_16_1 with digits: AttributeError" in said


def test_a_file_without_a_method_is_refused(command, tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match="no function is decorated with @defense, @attack or"):
        command("check", "empty.py")


def test_the_schema_of_a_study_is_the_one_in_the_repository_and_knows_every_entry():
    text = regenerate.STUDY_SCHEMA.read_text(encoding="utf-8")
    assert regenerate.study_schema_file() == {regenerate.STUDY_SCHEMA: text}
    schema = json.loads(text)
    for path in (regenerate.ROOT / "configs").rglob("*.yaml"):
        study = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert set(study) <= set(schema["properties"])
        assert set(schema["required"]) <= set(study)
        for key in ("data", "models", "attacks", "defenses"):
            known, *others = schema["properties"][key]["items"]["anyOf"]
            assert others == [OWN_FILE, others[-1]][-len(others) :]
            for entry in study[key]:
                assert isinstance(entry, dict) or entry in known["enum"], (path, entry)
