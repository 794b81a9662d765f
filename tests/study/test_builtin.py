"""Built-in studies are found by name, but a file comes first."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.study.builtin import builtin_studies, find_study
from harness.study.load import load_study

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_config_has_a_name():
    studies = builtin_studies()
    assert len(studies) == len(list(CONFIGS.rglob("*.yaml")))
    assert studies["quickstart"].samefile(CONFIGS / "quickstart.yaml")
    assert "architectures_gtsrb/vgg19_bn" in studies


def test_a_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_study("quickstart").name == "quickstart"
    Path("quickstart").mkdir()
    assert find_study("quickstart") == CONFIGS / "quickstart.yaml"
    Path("quickstart").rmdir()
    Path("quickstart").write_text("a file of the user")
    assert find_study("quickstart") == Path("quickstart")
    assert find_study("nowhere.yaml") == Path("nowhere.yaml"), "reported when it is read"


def test_an_unknown_name_is_a_mistake_with_the_nearest_name():
    with pytest.raises(UserError, match="no built-in study 'quikstart'; did you mean 'quickstart'"):
        find_study("quikstart")
