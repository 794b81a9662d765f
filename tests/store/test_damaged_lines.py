"""Damaged lines cost their own results alone, and every command says so or stops."""

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UserError
from harness.store.store import store_of
from tests.helpers import tiny_study
from tests.helpers.synthetic_store import fabricate


def damage(store, *, of: str) -> str:
    """Cut the line of the record whose name has a text; return where it is."""
    (path,) = store.record_files()
    lines = path.read_text().splitlines()
    (row,) = [i for i, line in enumerate(lines) if of in line.partition('"spec"')[0]]
    lines[row] = lines[row][: len(lines[row]) // 2]
    path.write_text("\n".join(lines) + "\n")
    return f"{path}:{row + 1}"


@pytest.fixture
def damaged(tmp_path):
    study, store = fabricate(tmp_path, defenses=2, attacks=1, spcs=(2,), seeds=(0,))
    return study, tmp_path / "out", damage(store, of="method_01")


def call(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


def test_a_report_has_the_sound_records_and_names_the_line(damaged):
    study, out, where = damaged
    for command in ("report", "status"):
        result = call(command, study.path, "--out", out)
        assert result.exception is None
        assert result.return_value == 1
        (said,) = result.stderr.splitlines()
        assert said.startswith(f"left out: {where}: not a record")
    assert "1 missing" in result.output
    board = (out / study.name / "leaderboard.md").read_text()
    assert "method_00" in board


def test_what_deletes_or_copies_stops_at_it_and_changes_nothing(damaged, tmp_path):
    study, out, where = damaged
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for words in (
        ("gc", "--delete", "--out", out),
        ("gc", "--delete", study.path, "--out", out),
        ("compact", study.path, "--out", out),
        ("merge", tmp_path / "other", out, "--mixed-versions"),
        ("compare", out, out),
    ):
        result = call(*words)
        assert isinstance(result.exception, UserError), words
        assert str(result.exception).startswith(f"{where}: not a record")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_computes_what_the_line_had_and_nothing_else(tmp_path):
    path = tiny_study.write_study(tmp_path)
    first = tiny_study.run(path, tmp_path / "out")
    damage(store_of(tmp_path / "out"), of=" / ft / ")
    again = tiny_study.run(path, tmp_path / "out")
    assert tiny_study.numbers(again) == tiny_study.numbers(first)
    sound = list(store_of(tmp_path / "out").lines(damaged=[]))
    assert len(sound) == len(first), "one record for the damaged one"
