from __future__ import annotations

import json
import re

import numpy as np
from click.testing import CliRunner

from harness.cli.main import cli
from harness.report.up_to_date import MADE_FROM
from harness.store.store import Store

STUDY = """
data: [digits]
models: [preactresnet18: {width: 4}]
recipe: {fast: {epochs: 1}}
attacks: [badnets]
defenses: [none, ft: {epochs: 1}]
budgets: [{spc: 2}]
seeds: [0]
gate: {acc: 0, asr: 0}
figures: [classes, gallery]
"""


def test_a_run_keeps_the_images_and_labels_that_its_figures_need(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text(STUDY)
    command = [
        "run",
        str(tmp_path / "small.yaml"),
        "--out",
        str(tmp_path / "out"),
        "--inline",
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert result.return_value == 0, result.output
    store = Store(tmp_path / "out" / "store")
    victim = next(record for record in store.latest().values() if record.kind == "victim")
    samples = store.get(victim.result.artifacts.samples)
    assert samples["clean"].shape == samples["triggered"].shape == (8, *samples["clean"].shape[1:])
    assert samples["truth"].tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
    ]  # the target class 0 has no triggered images
    changed = (samples["clean"] != samples["triggered"]).any(axis=(0, 1))
    assert changed[-3:, -3:].any()
    assert not changed[:-3].any()
    kept = store.get(victim.result.artifacts.predictions)
    assert np.mean(kept["triggered"] == kept["truth_wanted"]) == victim.result.asr
    assert np.mean(kept["clean"] == kept["truth_clean"]) == victim.result.acc
    folder = tmp_path / "out" / "small"
    assert {path.name for path in folder.glob("*.pdf")} == {"classes.pdf", "gallery.pdf"}
    assert (folder / "report.html").exists()
    page = (folder / "report.html").read_text()
    assert victim.key in records_in(page)
    assert "defuse show STUDY CELL" not in page
    report = ["report", command[1], *command[2:4]]
    (folder / "victims.tex").unlink()
    stale = (folder / "gallery.pdf").read_bytes()
    some = CliRunner().invoke(cli, [*report, "--show", "victims", "--paper", "acm"])
    assert "| BadNets  " in some.output
    assert (folder / "victims.tex").exists()
    assert (folder / "gallery.pdf").read_bytes() == stale
    assert json.loads((folder / MADE_FROM).read_text())["inputs"] == ""
    wrong = CliRunner().invoke(cli, [*report, "--show", "victim"])
    assert "no table or figure 'victim' here; did you mean 'victims'?" in str(wrong.exception)
    empty = CliRunner().invoke(cli, [*report, "--show", "clean"])
    assert "--show clean: there is nothing to show in it" in str(empty.exception)
    monkeypatch.setattr(
        "harness.report.frame.report_data.LARGE", 1
    )  # as if two cells were too many for one page
    again = CliRunner().invoke(cli, report, standalone_mode=False)
    assert again.return_value == 0, again.output
    page = (folder / "report.html").read_text()
    assert records_in(page) == {}
    assert "2 cells on 1 victims: 2 ok; the record of a single one: defuse show STUDY CELL" in page


def records_in(page):
    """Return the records of single cells that a page holds, by key."""
    found = re.search(
        r'<script type="application/json" id="records">(.*?)</script>', page, re.DOTALL
    )
    return json.loads(found.group(1))["records"]
