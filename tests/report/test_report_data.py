from __future__ import annotations

import io
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.cli.main import cli
from harness.data.cache import default_cache
from harness.errors import UserError
from harness.plan.report_names import figure_names
from harness.report.frame.labels import StudyLabels
from harness.report.frame.report_data import load_report_data
from harness.report.write import write_report
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers.synthetic_store import fabricate


def study(folder, name, *lines, width=8):
    text = ["data: [digits]", f"models: [preactresnet18: {{width: {width}}}]", "attacks: [badnets]"]
    text += ["budgets: [{spc: 2}]", "seeds: [0]", *lines]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(text) + "\n")
    return path


def load(path):
    return load_study(path, None, default_cache())


def test_a_study_has_all_figures_or_those_that_it_names_in_its_order(tmp_path):
    assert load(study(tmp_path, "a", "defenses: [ft]")).figures == figure_names()
    assert load(study(tmp_path, "b", "defenses: [ft]", "figures: [spread, curves]")).figures == (
        "spread",
        "curves",
    )
    assert load(study(tmp_path, "c", "defenses: [ft]", "figures: []")).figures == ()


def test_a_wrong_figure_is_named_with_its_place_and_the_nearest(tmp_path):
    path = study(tmp_path, "a", "defenses: [ft]", "figures: [curve, spread, spread]")
    with pytest.raises(UserError) as error:
        load(path)
    assert str(error.value).splitlines() == [
        f"{path}:7: figures[0]: unknown figure 'curve'; did you mean 'curves'?",
        f"{path}:7: figures[2]: the same as figures[1]",
    ]


def test_joined_studies_keep_equal_names_apart_only_where_they_mean_two_things(tmp_path):
    a = load(study(tmp_path, "a", "defenses: [ft, fp]"))
    b = load(study(tmp_path, "b", "defenses: [ft: {lr: 0.1}, fp]", width=16))
    frame = load_report_data([a, b], Store(tmp_path / "store")).frame
    assert set(frame["defense"]) == {"ft [a]", "ft [b]", "fp"}
    assert set(frame["model"]) == {"preactresnet18 [a]", "preactresnet18 [b]"}
    assert set(frame["attack"]) == {"badnets"}


def test_a_study_alone_keeps_its_names(tmp_path):
    frame = load_report_data(
        [load(study(tmp_path, "a", "defenses: [ft, fp]"))], Store(tmp_path / "store")
    ).frame
    assert set(frame["defense"]) == {"ft", "fp"}
    assert set(frame["family"]) == {"fine-tuning", "pruning"}


def test_two_studies_of_one_name_are_refused(tmp_path):
    plan = load(study(tmp_path, "a", "defenses: [ft]"))
    with pytest.raises(UserError, match="two studies are called 'a'; give one of them a 'name:'"):
        StudyLabels([plan, plan])


def test_against_must_be_a_defense_of_the_studies(tmp_path):
    plan = load(study(tmp_path, "a", "defenses: [ft, fp]"))
    with pytest.raises(UserError, match=r"--against: no defense 'ftt' here; did you mean 'ft'\?"):
        load_report_data([plan], Store(tmp_path / "store"), "ftt")


def test_rows_of_a_records_csv_stand_in_for_records_by_their_keys(tmp_path):
    plan, store = fabricate(tmp_path, extra="figures: []")
    whole = load_report_data([plan], store)
    known = write_report(whole, tmp_path / "report").page.with_name("records.csv")
    none = Store(tmp_path / "nowhere")
    frame = load_report_data([plan], none, known=known).frame
    for name in ("status", "error", "acc", "asr_inverse", "seconds", "der", "solved"):
        pd.testing.assert_series_equal(frame[name], whole.frame[name], check_dtype=False)
    assert frame["gate"].tolist() == whole.frame["gate"].tolist()
    assert set(frame["gate"]) == {True, False}
    other, _ = fabricate(tmp_path / "other", version=2)  # another version of method_00
    status = load_report_data([other], none, known=known).frame.groupby("defense")["status"]
    assert set(status.get_group("method_00")) == {"missing"}
    assert "ok" in set(status.get_group("method_02"))


def test_records_that_were_copied_without_their_artifacts_make_a_report(tmp_path):
    plan, store = fabricate(tmp_path, extra="figures: [gallery, classes, curves]\ntables: []")
    shutil.rmtree(store.folder / "artifacts")
    written = write_report(load_report_data([plan], store), tmp_path / "report")
    drawn = {path.name for path in written.paths if path.suffix == ".pdf"}
    assert drawn == {"curves.pdf"}
    console = Console(width=200, file=io.StringIO())
    console.print(written.terminal)
    assert "artifacts of the records are not in this store" in console.file.getvalue()


def test_two_studies_make_one_report(tmp_path):
    for name in ("one", "two"):
        fabricate(
            tmp_path / name,
            extra=f"name: {name}\nfigures: [curves]",
            spcs=(2,) if name == "one" else (10,),
        )
    records = tmp_path / "one" / "out" / "store" / "records"
    (records / "two.jsonl").write_bytes(
        (tmp_path / "two/out/store/records/made-up.jsonl").read_bytes()
    )
    studies = [str(tmp_path / name / "made_up.yaml") for name in ("one", "two")]
    command = ["report", *studies, "--out", str(tmp_path / "one" / "out"), "--against", "method_02"]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert result.return_value == 1, result.output  # made-up errors
    folder = tmp_path / "one" / "out" / "one+two"
    board = (folder / "leaderboard.md").read_text()
    assert "**SPC 2**" in board
    assert "**SPC 10**" in board
    assert (
        "### method_02 against each other defense, all budgets"
        in (folder / "comparisons.md").read_text()
    )
    assert "defuse report made_up.yaml made_up.yaml" in (folder / "report.html").read_text()


def test_a_report_with_twenty_defenses_is_whole(tmp_path):
    plan, _ = fabricate(tmp_path, defenses=20, extra="figures: [curves]")
    command = ["report", str(plan.path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert result.return_value == 1, result.output  # made-up errors
    folder = tmp_path / "out" / "made_up"
    records = pd.read_csv(folder / "records.csv")
    assert len(records) == len(plan.cells)
    assert records["defense"].nunique() == 21
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(cell.key in page for cell in plan.cells)


def test_planning_loads_no_figure(tmp_path):
    path = study(tmp_path, "a", "defenses: [ft]")
    code = f"""
import sys
from pathlib import Path
from harness.study.load import load_study
from harness.data.cache import default_cache
load_study(Path({str(path)!r}), None, default_cache())
sys.exit(any(name in sys.modules for name in ("torch", "matplotlib", "pandas")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
