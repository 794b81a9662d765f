"""Entries of imported victims: keys, the import command, and faults of records."""

import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from harness.cli.main import cli
from harness.data.cache import default_cache, prepare
from harness.data.options import DataOptions
from harness.errors import UserError
from harness.plan.entries import resolve_method
from harness.store.store import store_of
from harness.study.load import load_study
from harness.training.network import build
from tests.helpers import backdoorbench_records
from tests.helpers.backdoorbench_records import MODEL, write_record
from tests.helpers.imported_studies import record_entry, refused, write_study


def test_the_key_follows_the_content_and_not_the_place(squares, tmp_path):
    here = write_record(squares, tmp_path / "a" / "badnet", key=int)
    shutil.copytree(here, tmp_path / "b" / "badnet")

    def planned(place):
        return load_study(
            write_study(tmp_path, [record_entry(squares, place)]), None, default_cache()
        ).cells[0]

    first, second = planned("a/badnet"), planned("b/badnet")
    assert first.key == second.key
    both = write_study(
        tmp_path, [record_entry(squares, "a/badnet"), record_entry(squares, "[ab]/badnet")]
    )
    assert len(load_study(both, None, default_cache()).cells) == 1, (
        "one victim, however often it is named"
    )
    picture = next((tmp_path / "b" / "badnet" / "bd_test_dataset").rglob("*.png"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    assert planned("b/badnet").victim.key != first.victim.key


def test_the_command_imports_at_once_and_a_study_finds_it_done(tmp_path):
    root = tmp_path / "data"
    backdoorbench_records.write_squares(root / "cifar10")
    info = prepare("cifar10", DataOptions(), root, default_cache())
    torch.manual_seed(0)
    net = build(resolve_method("model", "mobilenet_v3_large", tmp_path), info)
    weights = net.get_submodule("net").state_dict()
    there = backdoorbench_records.SquaresVictim(
        root, info, weights, backdoorbench_records.scores_of(net, info)
    )
    says = {"model_name": "mobilenet_v3_large", "clean_data": "cifar10", "img_size": (32, 32, 3)}
    folder = write_record(there, tmp_path / "record" / "badnet_cifar10", changes=says)
    where = ["--out", str(tmp_path / "out"), "--data-root", str(root)]
    for _ in range(2):
        done = CliRunner().invoke(
            cli, ["import", "backdoorbench", str(folder), *where, "--device", "cpu"]
        )
        assert done.exit_code == 0, done.output
        scores = " ".join(f"{name.upper()} {100 * x:.2f}" for name, x in there.scores.items())
        message = (
            f"badnet_cifar10: cifar10, mobilenet_v3_large, {scores}, as its attack_df.csv says\n"
        )
        assert done.output == message
    (record,) = store_of(tmp_path / "out").records()
    plan = load_study(write_study(tmp_path, [{"backdoorbench": "record/*"}]), root, default_cache())
    assert list(plan.victims()) == [record.key]


def test_wrong_entries_of_records(squares, tmp_path):
    folder = write_record(
        squares, tmp_path / "record" / "badnet", changes={"model_name": "preactresnet"}
    )
    message = refused(tmp_path, {"backdoorbench": "record/badnet", "data": squares.entry})
    assert "architecture 'preactresnet' is unknown; did you mean 'preactresnet18'?" in message
    assert "no BackdoorBench record (a folder with attack_result.pt) at" in refused(
        tmp_path, {"backdoorbench": "record/none"}
    )
    assert "no BackdoorBench record (a folder with attack_result.pt) at" in refused(
        tmp_path, {"backdoorbench": "other/*"}
    )
    message = refused(tmp_path, {"backdoorbench": str(folder), "model": MODEL})
    assert "the record's data set 'squares' is unknown" in message
    assert "needs 'backdoorbench: FOLDER'" in refused(tmp_path, "record/badnet")
    more = {"attacks": ["own.py:f"], "data": [squares.entry], "models": [MODEL]}
    assert "trigger of a checkpoint" in refused(tmp_path, record_entry(squares, "none"), **more)


def test_a_study_needs_attacks_or_victims(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("defenses: [none]\nbudgets: [{spc: 2}]\nseeds: [0]\n")
    with pytest.raises(UserError) as caught:
        load_study(path, None, default_cache())
    assert [line.rpartition(": ")[2] for line in str(caught.value).splitlines()] == [
        "'data' is missing",
        "'models' is missing",
        "'attacks' is missing",
    ]


def test_the_command_line_says_it_in_one_line_and_exits_with_2(squares, tmp_path):
    from tests.test_architecture import python

    path = write_study(tmp_path, [record_entry(squares, "record/none")])
    done = python(
        "from harness.cli.main import main; main()",
        "run",
        str(path),
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "imported.yaml:" in done.stderr
    assert done.stdout == ""


def test_all_faults_of_a_record_are_named_at_once(squares, tmp_path):
    write_record(squares, tmp_path / "record" / "one", changes={"clean_data": "sqares"})
    entry = record_entry(squares, tmp_path / "record" / "one", model="preactresnet81", nmae="x")
    del entry["data"]
    lines = refused(tmp_path, entry).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "victims[0].nmae",
        "victims[0].model",
        "victims[0]",  # the data set's name is in the record
    ]
    assert "the record's data set 'sqares' is unknown" in lines[2]


def test_the_stem_of_a_resnet18_is_told_from_its_weights(squares, tmp_path):
    by_stem = {}
    for stem in ("3x3", "7x7"):
        model = resolve_method("model", {"resnet18": {"stem": stem}}, tmp_path)
        weights = build(model, squares.info).get_submodule("net").state_dict()
        changes = {"model_name": "resnet18", "model": weights}
        write_record(squares, tmp_path / "record" / stem, changes=changes)
        entry = record_entry(squares, tmp_path / "record" / stem)
        del entry["model"]
        (cell,) = load_study(write_study(tmp_path, [entry]), None, default_cache()).cells
        by_stem[stem] = cell.victim.model.hyper["stem"]
    assert by_stem == {"3x3": "3x3", "7x7": "7x7"}
    weights["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    changes = {"model_name": "resnet18", "model": weights}
    write_record(squares, tmp_path / "record" / "other", changes=changes)
    entry = {**entry, "backdoorbench": str(tmp_path / "record" / "other")}
    assert "mis-shaped conv1.weight (64, 3, 5, 5), not (64, 3, 3, 3)" in refused(tmp_path, entry)
