"""What can only fail after training is found when an own file is read, in one line."""

import pytest

from harness.errors import UserError
from harness.plan.entries import resolve_method

HEAD = (
    "from dataclasses import dataclass\nimport torch\nfrom harness.contract import Share, defense\n"
)
DECLARED = '@defense(paper="x", year=2026, family="control")\n'
DEFENSE = DECLARED + "def own(model, budget, hyper, ctx):\n    return model\n"
HYPER = "@dataclass(frozen=True, kw_only=True)\nclass Hyper:\n"


def refused(tmp_path, source) -> str:
    path = tmp_path / "own.py"
    path.write_text(HEAD + source)
    with pytest.raises(UserError) as error:
        resolve_method("defense", str(path), path.parent)
    assert str(error.value).startswith(f"{path}")
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys\nsys.exit(0)\n", "own.py:5: the file ends the program: SystemExit: 0"),
        ("raise KeyboardInterrupt\n", "own.py:4: KeyboardInterrupt"),
        ("for x in torch.arange(3):\n    pass\n", "own.py:4: TypeError"),
        ("first, second = torch.arange(2)\n", "own.py:4: TypeError"),
        ("from harness.contract import atack\n", "cannot import name 'atack'"),
        ("from harness.toolbox import fine_tun_\n", "did you mean 'fine_tune_'?"),
        ("from harness.toolbox.lops import fit\n", "did you mean 'harness.toolbox.loops'?"),
        ("import toch\n", "own.py:4: ModuleNotFoundError: no module 'toch'"),
        (DECLARED + "def own(model):\n    return model\n", "line 4: own is called as own(model, "),
        (DEFENSE.replace("family", 'needs="trigers", family'), "needs: should be 'clean', 'trig"),
        (DEFENSE.replace("family", "least_spc=True, family"), "least_spc: a number is needed"),
        (HYPER + "    x: Share = 2\n" + DEFENSE, "the default of Hyper.x: should be less"),
        (HYPER + '    x: float = float("nan")\n' + DEFENSE, "Hyper.x: a finite number is needed"),
        (HYPER + "    x: object = object()\n" + DEFENSE, "Hyper.x: a hyperparameter is a number"),
        ("class Hyper:\n    x = 1\n" + DEFENSE, "Hyper: a dataclass is needed"),
        ("Hyper = 3\n" + DEFENSE, "Hyper: a dataclass is needed"),
    ],
)
def test_refused_in_one_line(tmp_path, source, reason):
    assert reason in refused(tmp_path, source)


def test_an_optional_import_stays_optional(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        HEAD + "try:\n    import toch\nexcept ImportError:\n    toch = None\n" + DEFENSE
    )
    assert resolve_method("defense", str(path), path.parent).name == "own"
