from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UserError
from harness.report.compare import compare_stores
from harness.store.store import Store
from tests.helpers.synthetic_store import fabricate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("compare")
    fabricate(made / "a", seeds=(0, 1, 2))
    return made


def changed(folder, name, change):
    """Return a copy of the store in which ``change(record)`` was done to every record."""
    copy = folder / name / "out"
    shutil.copytree(folder / "a" / "out", copy, dirs_exist_ok=True)
    for path in (copy / "store" / "records").iterdir():
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records:
            change(record)
        path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return Store(copy / "store")


def original(folder):
    return Store(folder / "a" / "out" / "store")


def worse(by, noise=0.0, defense="method_02"):
    def change(record):
        if (
            record["kind"] == "cell"
            and record["status"] == "ok"
            and record["spec"]["defense"]["name"] == defense
        ):
            record["result"]["acc"] -= by + noise * record["spec"]["seed"]

    return change


def verdicts(compared, verdict):
    rows = compared.numbers[compared.numbers["verdict"].eq(verdict)]
    return {(row["defense"], row["budget"], row["metric"]) for row in rows.to_dict("records")}


def test_the_same_store_has_not_moved(folder):
    compared = compare_stores(original(folder), original(folder))
    assert set(compared.numbers["verdict"]) == {"same"}
    assert not compared.regressed


def test_a_steady_loss_is_significant_and_a_gain_is_none(folder):
    fell = compare_stores(original(folder), changed(folder, "steady", worse(0.05)))
    assert verdicts(fell, "worse, significant") == {
        ("method_02", f"SPC {spc}", "acc") for spc in (2, 10)
    }
    assert fell.regressed
    rose = compare_stores(changed(folder, "steady", worse(0.05)), original(folder))
    assert verdicts(rose, "better") == {("method_02", f"SPC {spc}", "acc") for spc in (2, 10)}
    assert not rose.regressed


def test_a_loss_within_the_spread_of_its_seeds_is_not(folder):
    # per seed -.01, +.01, +.03: mean .01, its 95 % interval +- 4.3 * .02 / sqrt 3 = .05
    compared = compare_stores(original(folder), changed(folder, "noisy", worse(-0.01, 0.02)))
    assert not compared.regressed
    rows = compared.numbers
    (row,) = rows[
        rows["defense"].eq("method_02") & rows["budget"].eq("SPC 10") & rows["metric"].eq("acc")
    ].to_dict("records")
    assert row["verdict"] == "within its interval"
    assert row["mean"] == pytest.approx(-0.01)
    assert row["high"] - row["mean"] == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-5)


def test_a_moved_number_among_many_is_shown_but_not_called_significant(folder):
    # interval +- 4.3 * .004 / sqrt 3 = .01 leaves out zero; at 1 - .05/m it does not
    compared = compare_stores(original(folder), changed(folder, "moved", worse(0.01, 0.004)))
    assert ("method_02", "SPC 10", "acc") in verdicts(compared, "worse")
    assert not compared.regressed


def test_a_lower_asr_is_no_regression(folder):
    def change(record):
        if record["kind"] == "cell" and record["status"] == "ok":
            record["result"]["asr"] -= 0.01

    assert not compare_stores(original(folder), changed(folder, "asr", change)).regressed


def test_a_cell_that_fails_now_is_a_regression(folder):
    def change(record):
        if (
            record["kind"] == "cell"
            and record["spec"]["defense"]["name"] == "method_02"
            and record["spec"]["seed"] == 0
        ):
            record.update(status="crash", error="gone")

    compared = compare_stores(original(folder), changed(folder, "crash", change))
    assert compared.regressed
    assert len(compared.failures) == 3  # of four: one had failed before
    assert all("method_02" in name for name in compared.failures)


def test_one_seed_is_never_significant(tmp_path):
    fabricate(tmp_path / "a", seeds=(0,))
    compared = compare_stores(original(tmp_path), changed(tmp_path, "b", worse(0.2)))
    assert verdicts(compared, "changed, no interval")
    assert not compared.regressed


def test_cells_of_another_version_are_still_the_same_cells(folder, tmp_path):
    fabricate(tmp_path / "b", seeds=(0, 1, 2), version=2)
    result = CliRunner().invoke(
        cli,
        ["compare", str(folder / "a" / "out"), str(tmp_path / "b" / "out")],
        standalone_mode=False,
    )
    assert result.return_value == 0, result.output
    assert "defense method_00: version 1 in A, version 2 in B" in " ".join(result.output.split())
    assert "0 only in A, 0 only in B" in result.output


def test_the_exit_code_is_1_on_a_significant_regression(folder):
    changed(folder, "exit", worse(0.05))
    result = CliRunner().invoke(
        cli,
        ["compare", str(folder / "a" / "out"), str(folder / "exit" / "out")],
        standalone_mode=False,
    )
    assert result.return_value == 1
    assert "worse, significant" in " ".join(result.output.split())


def test_nothing_in_common_is_a_users_mistake(folder, tmp_path):
    with pytest.raises(UserError, match="no finished cell in common"):
        compare_stores(original(folder), Store(tmp_path / "store"))
