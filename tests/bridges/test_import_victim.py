"""Imported victims get the right scores, from every layout of a record."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from msgspec import to_builtins
from PIL import Image

from harness.cli.main import cli
from harness.data.cache import default_cache
from harness.data.info import open_arrays
from harness.errors import UserError
from harness.execution.run_task import run_task
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.report.compare import compare_stores
from harness.store.merge import merge
from harness.store.record_files import LatestRecords
from harness.store.store import Store, store_of
from harness.study.load import load_study
from harness.training.session import WorkerSession
from tests.helpers import backdoorbench_records, tiny_study
from tests.helpers.backdoorbench_records import MODEL, TARGET, write_record
from tests.helpers.imported_studies import (
    first_test_image,
    record_entry,
    run_victim,
    scores,
    write_black,
    write_study,
)

LAYOUTS = {
    "numbers of numpy as keys": {"key": np.int64},
    "plain numbers as keys": {"key": int},
    "DataParallel": {"key": int, "prefix": "module."},
    "images in the file": {"ram": True},
    "format of v1": {"first": True},
    "cross samples": {"key": int, "cross": True},
}


@pytest.mark.parametrize("how", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_right_scores(squares, tmp_path, how):
    write_record(squares, tmp_path / "record" / "badnet_0_1", **how)
    path = write_study(tmp_path, [record_entry(squares, "record/badnet_0_1")])
    (cell,) = load_study(path, None, default_cache()).cells
    assert (cell.victim.attack.label, cell.victim.target) == ("badnet_0_1", TARGET)
    result = run_victim(path, tmp_path / "out")
    assert scores(result) == pytest.approx(squares.scores, abs=0)
    assert to_builtins(result.reported) == pytest.approx(squares.scores)
    labels = np.repeat(np.arange(3), 20)
    kept = store_of(tmp_path / "out").get(result.artifacts.poison)
    backdoors, target = np.arange(0, 60, 4), labels == TARGET
    if "cross" in how:  # samples of the target class carry its label either way
        covers = np.arange(1, 60, 4)
        assert kept["indices"].tolist() == [i for i in backdoors if not target[i]]
        assert kept["covers"].tolist() == [i for i in covers if not target[i]]
        assert kept["unclear"].tolist() == sorted(i for i in (*backdoors, *covers) if target[i])
        assert result.cross.images == 24
        assert result.cross.acc == pytest.approx(squares.scores["ra"])
    else:
        assert kept["indices"].tolist() == backdoors.tolist()
        assert (result.poisoned, result.covers) == (15, 0)


def test_a_record_of_numpy_1_and_one_that_was_moved(squares, tmp_path):
    folder = write_record(squares, tmp_path / "record" / "old")
    file = folder / "attack_result.pt"
    backdoorbench_records.rewrite(file, b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    shutil.move(folder, tmp_path / "elsewhere" / "renamed")
    result = run_victim(
        write_study(tmp_path, [record_entry(squares, "elsewhere/*")]), tmp_path / "out"
    )
    assert scores(result) == squares.scores


@pytest.mark.parametrize(("shift", "target"), [(1, "all-to-all"), (2, "all-to-all+2")])
def test_a_record_that_shifts_every_class(squares, tmp_path, shift, target):
    truth = open_arrays(squares.info).test_labels.tolist()
    images = [x for x, _, _ in backdoorbench_records.triggered_set(squares).values()]
    changed = {i: (images[0], (label + shift) % 3, label) for i, label in enumerate(truth)}
    folder = tmp_path / "record" / "all2all"
    saved = backdoorbench_records.state(folder, "bd_test_dataset", changed, len(truth))
    write_record(squares, folder, ram=True, changes={"bd_test": saved, "bd_train": None})
    result = run_victim(write_study(tmp_path, [record_entry(squares, folder)]), tmp_path / "out")
    assert (result.poisoned, result.acc) == (None, squares.scores["acc"])
    kept = store_of(tmp_path / "out").get(result.artifacts.triggered)
    assert kept["images"].shape == (36, 3, 8, 8)
    (record,) = [x for x in store_of(tmp_path / "out").records() if x.kind == "victim"]
    assert record.spec.target == target
    wanted = (np.array(truth) + shift) % 3
    predicted = store_of(tmp_path / "out").get(result.artifacts.predictions)["triggered"]
    assert result.asr == np.mean(predicted == wanted)


def test_a_record_with_several_targets_is_refused(squares, tmp_path):
    changed = backdoorbench_records.triggered_set(squares)
    several = {i: (x, 1 if i % 2 else 2 - label, label) for i, (x, _, label) in changed.items()}
    folder = tmp_path / "record" / "several"
    saved = backdoorbench_records.state(folder, "bd_test_dataset", several, 36)
    write_record(squares, folder, ram=True, changes={"bd_test": saved, "bd_train": None})
    with pytest.raises(
        UserError,
        match=r"3 target classes, 0 \(6 images\), 1 .12 images., 2 .6 images., and no one",
    ):
        tiny_study.load(write_study(tmp_path, [record_entry(squares, folder)]))


def test_a_difference_from_the_records_own_table_is_shown(squares, tmp_path):
    write_record(squares, tmp_path / "record" / "same")
    backdoorbench_records.write_table(
        write_record(squares, tmp_path / "record" / "other", key=int),
        {**squares.scores, "asr": squares.scores["asr"] - 0.25},
    )
    path = write_study(tmp_path, [record_entry(squares, "record/*")], figures=[])
    tiny_study.run(path, tmp_path / "out")
    done = CliRunner().invoke(
        cli, ["report", str(path), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert done.exit_code == 0, done.output
    shown = (tmp_path / "out" / "imported" / "victims.md").read_text(encoding="utf-8")
    imported = shown.partition("Imported victims")[2]
    assert "25.0" in imported
    assert "same" in imported


def test_an_imported_and_a_trained_victim_in_one_study(squares, tmp_path):
    write_record(squares, tmp_path / "record" / "badnet_0_1")
    patch = tmp_path / "patch.png"
    Image.fromarray(np.full((2, 2, 3), 255, np.uint8)).save(patch)
    torch.save(squares.weights, tmp_path / "net.pth")
    bare = {"checkpoint": "net.pth", "model": MODEL, "data": squares.entry, "target": TARGET}
    victims = [
        {"backdoorbench": "record/badnet_0_1", "model": MODEL},
        {**bare, "trigger": {"patch": {"image": "patch.png"}}},
    ]
    path = write_study(
        tmp_path,
        victims,
        data=[squares.entry],
        models=[MODEL],
        recipe={"fast": {"epochs": 1}},
        attacks=["badnets"],
        target=TARGET,
        defenses=["none", {"ft": {"epochs": 1}}, "oracle"],
        seeds=[0, 1],
        figures=["gallery", "rates"],
    )
    latest = tiny_study.run(path, tmp_path / "out")
    plan = load_study(path, None, default_cache())
    status = {cell.name: cell.skip or latest[cell.key].status for cell in plan.cells}
    assert len(status) == 2 * 3 + 2 * 3 + 2 * 3
    skipped = {name: reason for name, reason in status.items() if reason != "ok"}
    assert all("badnet_0_1" in name and "oracle" in name for name in skipped)
    assert set(skipped.values()) == {
        "needs the trigger; of badnet_0_1 there are only triggered test images"
    }
    assert len(skipped) == 2
    trained = [x for x in latest.values() if x.kind == "victim"]
    assert len(trained) == 2 + 2, "one imported victim for all seeds"
    assert {x.result.acc for x in trained if x.result.source is not None} == {squares.scores["acc"]}
    lines = sum(1 for _ in store_of(tmp_path / "out").records())
    tiny_study.run(path, tmp_path / "out")
    assert sum(1 for _ in store_of(tmp_path / "out").records()) == lines, (
        "a second run does nothing"
    )
    done = CliRunner().invoke(
        cli, ["report", str(path), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert done.exit_code == 0, done.output
    board = (tmp_path / "out" / "imported" / "leaderboard.md").read_text(encoding="utf-8")
    assert "imported" in board
    joined = store_of(tmp_path / "joined")
    assert merge(joined, store_of(tmp_path / "out")).records == lines
    same = compare_stores(joined, store_of(tmp_path / "out"))
    assert not same.regressed


def test_files_that_change_after_planning_are_an_error_of_the_victim(squares, good, tmp_path):
    shutil.copytree(good, tmp_path / "record" / "badnet")
    study = tmp_path / "study.yaml"
    entry = {"backdoorbench": "record/badnet", "data": squares.entry, "model": MODEL}
    content = {"victims": [entry], "defenses": ["none"], "budgets": [{"spc": 2}], "seeds": [0]}
    study.write_text(yaml.safe_dump(content))
    plan = load_study(study, None, default_cache())
    task = Schedule(plan, LatestRecords(), Selection()).next(None)
    write_black(first_test_image(tmp_path / "record" / "badnet"), (8, 8))
    record = run_task(task, WorkerSession(Store(tmp_path / "store"), torch.device("cpu")))
    assert record.status == "error"
    assert record.error.endswith("badnet: has changed since the study was read")
    assert {x.status for x in tiny_study.run(study, tmp_path / "out").values()} == {"ok"}
