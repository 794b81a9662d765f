"""A finished study is only read, and its report is written again only if something has changed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.cli.main import cli
from harness.data.cache import default_cache
from harness.report.up_to_date import MADE_FROM, input_digest
from harness.store.store import store_of
from harness.study.load import load_study
from tests.helpers import tiny_study

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from harness.cli.main import main
try:
    main()
except SystemExit as end:
    heavy = {"torch", "pandas", "matplotlib"} & set(sys.modules)
    sys.exit(f"heavy: {heavy}" if heavy else end.code)
"""


@pytest.fixture
def again(capsys):
    """Call a command on a finished study; return whether its report was left alone or written."""

    def call(path: Path, out: Path, *command: str) -> str:
        page = out / "small" / "report.html"
        before = page.stat().st_mtime_ns
        name, *options = command or ("run",)
        assert cli([name, str(path), "--out", str(out), *options], standalone_mode=False) == 0
        said = capsys.readouterr().out
        written = page.stat().st_mtime_ns != before
        assert written != (f"{page} is up to date" in said)
        assert "SPC 2" in said, "the board is shown in any case"
        return "written" if written else "left alone"

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    path = tiny_study.write_study(folder, figures=["curves"])
    tiny_study.run(path, folder / "out")
    assert cli(["report", str(path), "--out", str(folder / "out")], standalone_mode=False) == 0
    return path, folder / "out"


def test_nothing_is_done_and_nothing_heavy_imported_where_nothing_changed(finished):
    path, out = finished
    command = [sys.executable, "-c", COMMAND, "run", str(path), "--out", str(out)]
    before = {file: file.stat().st_mtime_ns for file in (out / "small").iterdir()}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {file: file.stat().st_mtime_ns for file in (out / "small").iterdir()} == before


def test_a_report_that_was_asked_for_is_written(finished, again):
    path, out = finished
    assert again(path, out, "report") == "written"
    assert again(path, out) == "left alone"
    assert again(path, out, "report", "--against", "ft") == "written"
    assert again(path, out) == "written", "its wins are counted against another defense"


@pytest.mark.parametrize("name", ["curves.pdf", MADE_FROM])
def test_a_file_that_is_gone_is_written_again(finished, again, name):
    path, out = finished
    (out / "small" / name).unlink()
    assert again(path, out) == "written"
    assert (out / "small" / name).exists()


def test_a_victim_of_another_name_is_reported(finished):
    plan, records = load_study(finished[0], None, default_cache()), store_of(finished[1]).latest()
    old = plan.cells[0].victim
    new = replace(old, attack=replace(old.attack, label="as its folder is called now"))
    cells = [replace(cell, victim=new) if cell.victim is old else cell for cell in plan.cells]
    renamed = replace(plan, cells=cells)
    assert [cell.key for cell in renamed.cells] == [cell.key for cell in plan.cells]
    assert input_digest([renamed], records) != input_digest([plan], records)


def test_a_record_or_a_study_that_changed_is_reported(finished, again):
    path, out = finished
    store = store_of(out)
    record = next(record for record in store.records() if record.kind == "cell")
    result = msgspec.structs.replace(record.result, acc=0.5)
    store.append(msgspec.structs.replace(record, finished="9", result=result))
    assert again(path, out) == "written"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("gate:\n", "gate:\n  asr: 0.123\n"), encoding="utf-8")
    assert again(path, out) == "written"
    assert again(path, out) == "left alone"
