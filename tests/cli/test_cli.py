"""The command line as a user meets it: exit codes, one-line mistakes, plans, records."""

import json

import pytest
from click.testing import CliRunner

from harness.cli import main as command_line
from harness.errors import UserError
from tests.helpers import tiny_study


@pytest.fixture
def defuse(monkeypatch, capsys, tmp_path):
    """Call the command as the shell would; returns (exit code, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["defuse", *arguments])
        with pytest.raises(SystemExit) as end:
            command_line.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def test_help_lists_the_commands():
    done = CliRunner().invoke(command_line.cli, ["--help"])
    assert done.exit_code == 0
    for command in ("run", "status", "report", "list", "show"):
        assert f"\n  {command} " in done.output


def test_run_status_report_show(defuse, tmp_path):
    study, out = str(tiny_study.write_study(tmp_path)), str(tmp_path / "out")
    code, said, _ = defuse("run", study, "--out", out, "--dry-run")
    assert code == 0
    assert said.count("open") == 2
    assert "small: 2 cells: 2 missing" in said
    assert not (tmp_path / "out").exists()

    code, said, progress = defuse("run", study, "--out", out, "--device", "cpu", "--inline")
    assert code == 0
    assert "SPC 2" in said
    assert f"{out}/small/leaderboard.md" in said
    assert "[3/3]" in progress
    for name in ("records.csv", "leaderboard.csv", "leaderboard.tex", "curves.pdf", "curves.png"):
        assert (tmp_path / "out" / "small" / name).stat().st_size > 0

    code, said, _ = defuse("status", study, "--out", out)
    assert (code, said) == (0, "small: 2 cells: 2 ok\nsmall: 1 victims: 1 ok\n")
    assert defuse("report", study, "--out", out)[0] == 0
    code, said, _ = defuse("show", study, "badnets ft SPC 2 seed 0", "--json", "--out", out)
    assert json.loads(said)["spec"]["defense"]["hyper"]["epochs"] == 2


def test_failed_cells_give_exit_code_1(defuse, tmp_path):
    (tmp_path / "bad.py").write_text(
        '"""Bad."""\nfrom harness.contract import defense\n\n'
        '@defense(paper="none", year=2026, family="control")\n'
        "def bad(model, budget, hyper, ctx):\n    return None\n"
    )
    study = str(tiny_study.write_study(tmp_path, defenses=["none", "./bad.py"]))
    code, said, progress = defuse(
        "run", study, "--out", str(tmp_path / "out"), "--device", "cpu", "--inline"
    )
    assert code == 1
    assert "error: TypeError: a defense returns" in progress
    assert said.splitlines()[-1].startswith("exit code 1, as cells failed (1 error)")
    assert defuse("status", study, "--out", str(tmp_path / "out"))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["run", "quikstart"], "no built-in study 'quikstart'; did you mean 'quickstart'?"),
        (["run", "{study}", "--mode", "again"], "'again' is not one of"),
        (["run", "{study}", "--device", "tpu"], "device 'tpu' is not available on this machine"),
        (["run", "{study}", "--wrokers", "2"], "No such option '--wrokers'"),
        (["list", "atacks"], "'atacks' is not one of"),
        (["show", "{study}", "imz"], "no cell of small matches 'imz'"),
        (["show", "{study}", "seed 1"], "no cell of small matches 'seed 1'"),
        (["show", "{study}", "seed"], "2 cells of small match 'seed'; be more specific:"),
        (["report", "seeds=1"], "the name of a study is needed before KEY=VALUE"),
        (["check", "own.py", "--only", "spc=2"], "--only chooses cells of a study"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_mistakes_are_exit_code_2_and_no_traceback(defuse, tmp_path, arguments, text):
    study = tiny_study.write_study(tmp_path)
    out = ["--out", str(tmp_path / "out")] if arguments[0] in {"run", "show"} else []
    code, _, said = defuse(*[a.format(study=study) for a in arguments], *out)
    assert code == 2
    assert text in said
    assert "Traceback" not in said


def test_a_missing_data_set_names_the_folder_and_the_command(defuse, tmp_path):
    study = tiny_study.write_study(tmp_path, data=["cifar10"], attacks=["badnets"])
    root = tmp_path / "data"
    root.mkdir()
    code, _, said = defuse(
        "run", str(study), "--data-root", str(root), "--out", str(tmp_path / "out")
    )
    assert code == 2
    assert str(root / "cifar10") in said
    assert "hf download uoft-cs/cifar10" in said
    assert len(said.splitlines()) == 1


def test_list_says_paper_needs_and_defaults(defuse):
    code, said, _ = defuse("list", "defenses")
    assert code == 0
    assert "arXiv 2509.15497 (2025)" in said
    assert "inner_steps=20" in said
    code, said, _ = defuse("list")
    assert code == 0
    assert [line for line in said.splitlines() if line and line[0] != " "] == [
        "attacks",
        "defenses",
        "models",
        "probes",
        "data",
    ]


@pytest.mark.parametrize(
    ("command", "folder", "fault"),
    [
        ("run", "file", "is a file; a folder of results is needed"),
        ("run", "out/store", "is a store; give the folder around it"),
        ("status", "elsewhere", "has no results: there is no folder"),
        ("report", "elsewhere", "has no results: there is no folder"),
    ],
)
def test_a_wrong_out_is_refused(defuse, tmp_path, command, folder, fault):
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "store" / "records").mkdir(parents=True)
    study = str(tiny_study.write_study(tmp_path))
    code, _, said = defuse(command, study, "--out", str(tmp_path / folder))
    assert code == 2
    assert fault in " ".join(said.split())


def test_windows_is_refused_in_one_line():
    with pytest.raises(UserError, match="runs on Linux and macOS; on Windows use WSL"):
        command_line.require_posix("win32")
    command_line.require_posix("darwin")
