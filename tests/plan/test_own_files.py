"""What can only fail after training is found when an own file is read, in one line."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.execution.file_copies import _copy_method
from harness.plan import registry
from harness.plan.entries import resolve_method
from tests.helpers import failing_defenses, tiny_study

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
        (DEFENSE.replace("family", 'needs="external", family'), "'external' is for scripts of"),
        (DEFENSE.replace("family", "least_spc=True, family"), "least_spc: a number is needed"),
        (HYPER + "    x: Share = 2\n" + DEFENSE, "the default of Hyper.x: should be less"),
        (HYPER + '    x: float = float("nan")\n' + DEFENSE, "Hyper.x: a finite number is needed"),
        (HYPER + "    x: object = object()\n" + DEFENSE, "Hyper.x: a hyperparameter is a number"),
        ("class Hyper:\n    x = 1\n" + DEFENSE, "Hyper: a dataclass is needed"),
        ("Hyper = 3\n" + DEFENSE, "Hyper: a dataclass is needed"),
        (
            HYPER + '    x: "Sahre" = 1\n' + DEFENSE,
            "a field of Hyper is unusable: name 'Sahre' is not def",
        ),
        (DEFENSE.replace("def own", "async def own"), "own must return its result: no async"),
        (DEFENSE.replace("return model", "yield model"), "own must return its result: no async"),
        (DECLARED + "class Own:\n    pass\n", "a function is needed, not the class Own"),
        (DEFENSE.replace("family", "display_name='a\\n', family"), "display_name: a line of at"),
        (DEFENSE.replace("family", "display_name='a' * 999, family"), "a line of at most 100"),
    ],
)
def test_refused_in_one_line(tmp_path, source, reason):
    assert reason in refused(tmp_path, source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\nos._exit(0)\n", "the file ends the program (at module level"),
        ("import os\nos.write(1, b'[]')\nos._exit(3)\n", "the file ends the program (at module"),
        ("while True:\n    pass\n", "no end after 1 s (at module level"),
    ],
)
def test_a_file_that_ends_or_hangs_the_reading_is_refused(tmp_path, monkeypatch, source, reason):
    monkeypatch.setattr("harness.plan.apart.LIMIT", 1)
    assert reason in refused(tmp_path, source)


def test_what_a_file_does_at_module_level_stays_out_of_this_process(tmp_path):
    path = tmp_path / "own.py"
    change = "import os, sys\nos.environ['OF_A_FILE'] = '1'\nsys.modules['of_a_file'] = sys\n"
    path.write_text(HEAD + change + DEFENSE)
    assert resolve_method("defense", str(path), tmp_path).info.family == "control"
    assert "OF_A_FILE" not in os.environ
    assert "of_a_file" not in sys.modules


def test_ctrl_c_while_a_file_is_read_ends_the_program_as_always(tmp_path):
    flag = tmp_path / "flag"
    waits = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(60)\n"
    (tmp_path / "own.py").write_text(HEAD + waits + DEFENSE)
    path = tiny_study.write_study(tmp_path, defenses=["./own.py"])
    process = subprocess.Popen(
        failing_defenses.command("run", path, "--dry-run"),
        env=failing_defenses.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not flag.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_an_optional_import_stays_optional(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        HEAD + "try:\n    import toch\nexcept ImportError:\n    toch = None\n" + DEFENSE
    )
    assert resolve_method("defense", str(path), path.parent).name == "own"


@pytest.mark.parametrize(
    ("kind", "name", "copied", "taken"),
    [
        ("attack", "badnets", "badnets", "'badnets' is the built-in attack badnets; give a file"),
        ("attack", "badnets", "BadNets", "'BadNets' is the built-in attack badnets; give a file"),
        ("defense", "ims", "ims", "'ims' is the built-in defense ims; give a file of your own"),
        ("defense", "ims", "my_ims", "'IMS' is the built-in defense ims; give a display_name of"),
        ("model", "vgg19", "vgg19", "'vgg19' is the built-in model vgg19"),
        ("probe", "drift", "drift", "'drift' is the built-in probe drift"),
    ],
)
def test_a_name_of_a_built_in_method_is_refused(tmp_path, kind, name, copied, taken):
    path = tmp_path / f"{copied}.py"
    path.write_text(registry.find(kind, name).read_text())
    with pytest.raises(UserError, match=re.escape(f"{path}: {taken}")):
        resolve_method(kind, str(path), tmp_path)


def test_two_files_of_one_name_are_refused_in_one_list(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(f"# {folder}\n{HEAD}{DEFENSE}")
    study = tiny_study.write_study(tmp_path, defenses=["none", "./a/own.py", "./b/own.py"])
    with pytest.raises(UserError, match=r"defenses\[2\]: defenses\[1\] is called 'own' too"):
        tiny_study.load(study)


HELPER = (
    "import torch\nfrom constants import KEEP\n\n\ndef keep(model):\n    return torch.numel, KEEP\n"
)
USES_HELPER = (
    "from dataclasses import dataclass\nfrom constants import KEEP\nfrom harness.contract import "
    "defense\nfrom helper import keep\n\n\n"
    f"{HYPER}    share: float = KEEP\n\n\n{DECLARED}def own(model, budget, hyper, ctx):\n"
    "    import helper\n    return keep(model), helper.KEEP\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "constants.py").write_text("KEEP = 0.5\n")
    (tmp_path / "own.py").write_text(USES_HELPER)
    return tmp_path


def resolved(folder):
    registry._described.clear()
    return resolve_method("defense", str(folder / "own.py"), folder)


def test_files_beside_a_method_are_imported_when_it_is_planned_and_when_it_runs(folder):
    method = resolved(folder)
    assert method.hyper == {"share": 0.5}
    function, _, _ = method.load()
    (numel, share), again = function(None, None, None, None)
    assert (numel.__name__, share, again) == ("numel", 0.5, 0.5)


def test_the_version_has_what_a_method_imports_from_its_folder_and_no_other_file(folder):
    before = resolved(folder)
    (folder / "unrelated.py").write_text("")
    assert resolved(folder).version == before.version
    (folder / "constants.py").write_text("KEEP = 0.25\n")
    after = resolved(folder)
    assert after.version != before.version
    function, _, _ = after.load()
    assert function(None, None, None, None)[1] == 0.25


def test_two_files_may_import_each_other_and_a_fault_in_one_has_its_line(folder):
    (folder / "constants.py").write_text("KEEP = 0.5\nimport helper\n")
    assert resolved(folder).hyper == {"share": 0.5}
    (folder / "constants.py").write_text("KEEP = 0.5\n1 / 0\n")
    with pytest.raises(UserError, match=r"constants\.py:2: ZeroDivisionError"):
        resolved(folder)


def test_a_copy_for_a_queued_job_has_the_files_beside_it(folder, tmp_path):
    path = Path(_copy_method(folder / "own.py", tmp_path / "code"))
    assert {file.name for file in path.parent.iterdir()} == {"own.py", "helper.py", "constants.py"}
