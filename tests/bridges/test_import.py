"""Victims from elsewhere: records of BackdoorBench and bare checkpoints come out with the right numbers."""

import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from harness.bridges.backdoorbench.inspect_record import split_poison_kinds
from harness.bridges.backdoorbench.read_record import Samples
from harness.cli.main import cli
from harness.data.cache import default_cache, prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from harness.errors import UserError
from harness.plan.entries import resolve_method
from harness.report.compare import compare_stores
from harness.store.merge import merge
from harness.store.store import store_of
from harness.study.load import load_study
from harness.training.network import build
from tests.helpers import backdoorbench_records, tiny_study
from tests.helpers.backdoorbench_records import MODEL, TARGET, write_record


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = backdoorbench_records.make_world(tmp_path_factory.getbasetemp() / "squares")
    assert made.scores["acc"] > 0.7, made.scores
    assert made.scores["asr"] > 0.7, made.scores
    return made


def study(folder, victims, **more):
    """Write a study of foreign victims, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "defenses": ["none"],
        "budgets": [{"spc": 2}],
        "seeds": [0],
        "victims": victims,
        **more,
    }
    path = folder / "foreign.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def recorded(world, place, **more):
    return {"backdoorbench": str(place), "data": world.entry, "model": MODEL, **more}


def victim_of(path, out):
    """Run a study of one victim, and return the result of the victim's record."""
    latest = tiny_study.run(path, out)
    (record,) = [x for x in latest.values() if x["kind"] == "victim"]
    assert record["status"] == "ok", record["error"]
    cells = [x for x in latest.values() if x["kind"] == "cell"]
    assert {x["status"] for x in cells} == {"ok"}, [x.get("error") for x in cells]
    return record["result"]


def scores(result):
    return {name: result[name] for name in ("acc", "asr", "ra")}


# Records of BackdoorBench


LAYOUTS = {
    "numbers of numpy as keys": {"key": np.int64},
    "plain numbers as keys": {"key": int},
    "DataParallel": {"key": int, "prefix": "module."},
    "images in the file": {"ram": True},
    "format of v1": {"first": True},
    "cross samples": {"key": int, "cross": True},
}


@pytest.mark.parametrize("how", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_comes_to_the_right_numbers(world, tmp_path, how):
    write_record(world, tmp_path / "record" / "badnet_0_1", **how)
    path = study(tmp_path, [recorded(world, "record/badnet_0_1")])
    (cell,) = load_study(path, None, default_cache()).cells
    assert (cell.victim.attack.label, cell.victim.target) == ("badnet_0_1", TARGET)
    result = victim_of(path, tmp_path / "out")
    assert scores(result) == pytest.approx(world.scores, abs=0)
    assert result["reported"] == pytest.approx(world.scores)
    labels = np.repeat(np.arange(3), 20)
    kept = store_of(tmp_path / "out").get(result["artifacts"]["poison"])
    backdoors, target = np.arange(0, 60, 4), labels == TARGET
    if "cross" in how:  # samples of the target class carry its label either way
        covers = np.arange(1, 60, 4)
        assert kept["indices"].tolist() == [i for i in backdoors if not target[i]]
        assert kept["covers"].tolist() == [i for i in covers if not target[i]]
        assert kept["unclear"].tolist() == sorted(i for i in (*backdoors, *covers) if target[i])
        assert result["cross"]["images"] == 24
        assert result["cross"]["acc"] == pytest.approx(world.scores["ra"])
    else:
        assert kept["indices"].tolist() == backdoors.tolist()
        assert (result["poisoned"], result["covers"]) == (15, 0)


def test_a_record_of_numpy_1_and_one_that_was_moved(world, tmp_path):
    folder = write_record(world, tmp_path / "record" / "old")
    file = folder / "attack_result.pt"
    backdoorbench_records.rewrite(file, b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    shutil.move(folder, tmp_path / "elsewhere" / "renamed")
    result = victim_of(study(tmp_path, [recorded(world, "elsewhere/*")]), tmp_path / "out")
    assert scores(result) == world.scores


def test_the_key_follows_the_content_and_not_the_place(world, tmp_path):
    here = write_record(world, tmp_path / "a" / "badnet", key=int)
    shutil.copytree(here, tmp_path / "b" / "badnet")

    def planned(place):
        return load_study(study(tmp_path, [recorded(world, place)]), None, default_cache()).cells[0]

    first, second = planned("a/badnet"), planned("b/badnet")
    assert first.key == second.key
    both = study(tmp_path, [recorded(world, "a/badnet"), recorded(world, "[ab]/badnet")])
    assert len(load_study(both, None, default_cache()).cells) == 1, (
        "one victim, however often it is named"
    )
    picture = next((tmp_path / "b" / "badnet" / "bd_test_dataset").rglob("*.png"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    assert planned("b/badnet").victim.key != first.victim.key


def test_a_difference_from_the_records_own_table_is_shown(world, tmp_path):
    write_record(world, tmp_path / "record" / "same")
    backdoorbench_records.write_table(
        write_record(world, tmp_path / "record" / "other", key=int),
        {**world.scores, "asr": world.scores["asr"] - 0.25},
    )
    path = study(tmp_path, [recorded(world, "record/*")], figures=[])
    tiny_study.run(path, tmp_path / "out")
    done = CliRunner().invoke(
        cli, ["report", str(path), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert done.exit_code == 0, done.output
    shown = (tmp_path / "out" / "foreign" / "victims.md").read_text(encoding="utf-8")
    imported = shown.partition("Imported victims")[2]
    assert "25.0" in imported
    assert "same" in imported


def test_a_foreign_and_a_trained_victim_in_one_study(world, tmp_path):
    write_record(world, tmp_path / "record" / "badnet_0_1")
    patch = tmp_path / "patch.png"
    Image.fromarray(np.full((2, 2, 3), 255, np.uint8)).save(patch)
    torch.save(world.weights, tmp_path / "net.pth")
    bare = {"checkpoint": "net.pth", "model": MODEL, "data": world.entry, "target": TARGET}
    victims = [
        {"backdoorbench": "record/badnet_0_1", "model": MODEL},
        {**bare, "trigger": {"patch": {"image": "patch.png"}}},
    ]
    path = study(
        tmp_path,
        victims,
        data=[world.entry],
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
    status = {cell.name: cell.skip or latest[cell.key]["status"] for cell in plan.cells}
    assert len(status) == 2 * 3 + 2 * 3 + 2 * 3
    skipped = {name: reason for name, reason in status.items() if reason != "ok"}
    assert all("badnet_0_1" in name and "oracle" in name for name in skipped)
    assert set(skipped.values()) == {
        "needs the trigger; of badnet_0_1 there are only triggered test images"
    }
    assert len(skipped) == 2
    trained = [x for x in latest.values() if x["kind"] == "victim"]
    assert len(trained) == 2 + 2, "one foreign victim for all seeds"
    assert {x["result"]["acc"] for x in trained if "source" in x["result"]} == {world.scores["acc"]}
    lines = sum(1 for _ in store_of(tmp_path / "out").records())
    tiny_study.run(path, tmp_path / "out")
    assert sum(1 for _ in store_of(tmp_path / "out").records()) == lines, (
        "a second run does nothing"
    )
    done = CliRunner().invoke(
        cli, ["report", str(path), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert done.exit_code == 0, done.output
    board = (tmp_path / "out" / "foreign" / "leaderboard.md").read_text(encoding="utf-8")
    assert "imported" in board
    joined = store_of(tmp_path / "joined")
    assert merge(joined, store_of(tmp_path / "out")).records == lines
    same = compare_stores(joined, store_of(tmp_path / "out"))
    assert not same.regressed


def test_the_command_imports_at_once_and_a_study_finds_it_done(tmp_path):
    root = tmp_path / "data"
    backdoorbench_records.write_squares(root / "cifar10")
    info = prepare("cifar10", DataOptions(), root, default_cache())
    torch.manual_seed(0)
    net = build(resolve_method("model", "mobilenet_v3_large", tmp_path), info)
    weights = net.get_submodule("net").state_dict()
    there = backdoorbench_records.World(
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
        said = f"badnet_cifar10: cifar10, mobilenet_v3_large, {scores}, as its attack_df.csv says\n"
        assert done.output == said
    (record,) = store_of(tmp_path / "out").records()
    plan = load_study(study(tmp_path, [{"backdoorbench": "record/*"}]), root, default_cache())
    assert list(plan.victims()) == [record["key"]]


@pytest.mark.parametrize("target", [TARGET, "all-to-all"])
def test_backdoors_and_cross_samples_are_told_apart(target):
    labels = np.array([0, 1, 2, 0, 1, 2])
    sent = np.array([TARGET] * 3) if target == TARGET else (labels[:3] + 1) % 3

    def found(wanted):
        train = Samples(np.arange(6) * 10, wanted, labels, [])
        return [part.tolist() for part in split_poison_kinds(train, labels, target)]

    with_cross = found(np.concatenate([sent, labels[3:]]))
    if target == TARGET:
        assert with_cross == [[0, 20], [30, 50], [10, 40]]
    else:
        assert with_cross == [[0, 10, 20], [30, 40, 50], []]


def test_a_clean_label_attack_poisons_the_target_class_alone():
    labels = np.full(4, TARGET)
    assert [len(x) for x in split_poison_kinds(Samples(np.arange(4), labels, labels, []), labels, TARGET)] == [
        4,
        0,
        0,
    ]


def test_a_record_that_sends_every_class_to_the_next(world, tmp_path):
    truth = open_arrays(world.info).test_labels.tolist()
    images = [x for x, _, _ in backdoorbench_records.triggered_set(world).values()]
    changed = {i: (images[0], (label + 1) % 3, label) for i, label in enumerate(truth)}
    folder = tmp_path / "record" / "all2all"
    saved = backdoorbench_records.state(folder, "bd_test_dataset", changed, len(truth))
    write_record(world, folder, ram=True, changes={"bd_test": saved, "bd_train": None})
    result = victim_of(study(tmp_path, [recorded(world, folder)]), tmp_path / "out")
    assert (result["poisoned"], result["acc"]) == (None, world.scores["acc"])
    kept = store_of(tmp_path / "out").get(result["artifacts"]["triggered"])
    assert kept["images"].shape == (36, 3, 8, 8)
    (record,) = [x for x in store_of(tmp_path / "out").records() if x["kind"] == "victim"]
    assert record["spec"]["target"] == "all-to-all"


# Checkpoints


WRAPPERS = {
    "bare.pth": lambda weights: weights,
    "state_dict.pth": lambda weights: {"epoch": 3, "state_dict": weights, "best": np.float64(0.5)},
    "net.pth": lambda weights: {
        "net": {f"module.{name}": x for name, x in weights.items()},
        "acc": 93.1,
    },
    "model.pt": lambda weights: {"model": weights},
}


OWN = """
def corner(images):
    stamped = images.clone()
    stamped[..., -2:, -2:] = 1
    return stamped
"""


def pictures_in(folder):
    white = np.full((8, 8, 3), 255, np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[-2:, -2:] = 255
    Image.fromarray(white).save(folder / "white.png")
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(white[:2, :2]).save(folder / "patch.png")
    (folder / "own.py").write_text(OWN)


TRIGGERS = [
    {"patch": {"image": "patch.png"}},
    {"patch": {"image": "patch.png", "position": [6, 6]}},
    {"pattern": {"image": "white.png", "mask": "mask.png"}},
    "own.py:corner",
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_every_form_of_the_same_trigger_comes_to_the_same_numbers(world, tmp_path, trigger):
    pictures_in(tmp_path)
    torch.save(world.weights, tmp_path / "net.pth")
    entry = {
        "checkpoint": "net.pth",
        "model": MODEL,
        "data": world.entry,
        "target": TARGET,
        "trigger": trigger,
    }
    assert scores(victim_of(study(tmp_path, [entry]), tmp_path / "out")) == world.scores


@pytest.mark.parametrize("name", [*WRAPPERS, "ours.safetensors"])
def test_every_wrapper_is_read(world, tmp_path, name):
    pictures_in(tmp_path)
    if name in WRAPPERS:
        torch.save(WRAPPERS[name](world.weights), tmp_path / name)
    else:
        safetensors.torch.save_file(
            {f"net.{key}": x for key, x in world.weights.items()}, tmp_path / name
        )
    trigger = {"blend": {"image": "white.png", "alpha": 0.5}}
    entry = {
        "checkpoint": name,
        "model": MODEL,
        "data": world.entry,
        "target": TARGET,
        "trigger": trigger,
    }
    result = victim_of(study(tmp_path, [entry]), tmp_path / "out")
    assert result["acc"] == world.scores["acc"]
    assert result["linf"] == pytest.approx(128, abs=10)


def test_normalisation_is_part_of_the_victim(world, tmp_path):
    pictures_in(tmp_path)
    torch.save(world.weights, tmp_path / "net.pth")
    bare = {"checkpoint": "net.pth", "model": MODEL, "data": world.entry, "target": TARGET}
    forms = ["data", "none", {"mean": [0.5] * 3, "std": [0.2] * 3}]
    entries = [{**bare, "trigger": "own.py:corner", "normalise": form} for form in forms]
    plan = load_study(study(tmp_path, entries), None, default_cache())
    found = {cell.victim.key: cell.victim.data for cell in plan.cells}
    assert [(info.mean[0], info.std[0]) for info in found.values()] == [
        (0.4, 0.3),
        (0.0, 1.0),
        (0.5, 0.2),
    ]
    assert len({cell.victim.attack.label for cell in plan.cells}) == 3
    assert len({cell.name for cell in plan.cells}) == 3


# What is wrong with an entry, at its place


def refused(tmp_path, entry, **more):
    with pytest.raises(UserError) as caught:
        load_study(study(tmp_path, [entry], **more), None, default_cache())
    return str(caught.value)


BAD = {
    "unknown key": ({"trigerr": 1}, r"'trigerr'; did you mean 'trigger'?"),
    "model": (
        {"model": "wrn16_1"},
        "victims[0].model: unknown model 'wrn16_1'; did you mean 'wrn_16_1'?",
    ),
    "trigger": (
        {"trigger": "pach"},
        "victims[0].trigger: unknown trigger 'pach'; did you mean 'patch'?",
    ),
    "trigger's key": (
        {"trigger": {"patch": {"image": "patch.png", "positon": [0, 0]}}},
        "unknown key 'positon'; did you mean 'position'?",
    ),
    "trigger's file": ({"trigger": {"patch": {"image": "no.png"}}}, "no file"),
    "function": ({"trigger": "own.py:korner"}, "no function 'korner'; did you mean 'corner'?"),
    "target": (
        {"target": 3},
        "victims[0].target: needs a class of squares, 0 to 2, or all-to-all, not 3",
    ),
    "file": ({"checkpoint": "none.pth"}, "victims[0].checkpoint: no file"),
    "normalise": ({"normalise": "yes"}, "victims[0].normalise: needs data, none, or a mapping"),
    "statistics": ({"normalise": {"mean": [0.5], "std": [0.5]}}, "needs 3 values of mean, and 3 of std"),
    "architecture": (
        {"model": "preactresnet18"},
        "mis-shaped conv1.weight (4, 3, 3, 3), not (64, 3, 3, 3)",
    ),
    "other architecture": (
        {"model": "resnet18"},
        "missing bn1.weight, bn1.bias, bn1.running_mean and ",
    ),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD)
def test_a_wrong_entry_is_named_with_its_place(world, tmp_path, change, said):
    pictures_in(tmp_path)
    torch.save(world.weights, tmp_path / "net.pth")
    entry = {"checkpoint": "net.pth", "model": MODEL, "data": world.entry, "target": TARGET}
    message = refused(tmp_path, {**entry, "trigger": "own.py:corner", **change})
    assert said in message
    assert "foreign.yaml:" in message
    assert "\n" not in message


def test_wrong_entries_of_records(world, tmp_path):
    folder = write_record(
        world, tmp_path / "record" / "badnet", changes={"model_name": "preactresnet"}
    )
    said = refused(tmp_path, {"backdoorbench": "record/badnet", "data": world.entry})
    assert "architecture 'preactresnet' is unknown; did you mean 'preactresnet18'?" in said
    assert "no BackdoorBench record (a folder with attack_result.pt) at" in refused(
        tmp_path, {"backdoorbench": "record/none"}
    )
    assert "no BackdoorBench record (a folder with attack_result.pt) at" in refused(
        tmp_path, {"backdoorbench": "other/*"}
    )
    said = refused(tmp_path, {"backdoorbench": str(folder), "model": MODEL})
    assert "the record's data set 'squares' is unknown" in said
    assert "needs 'backdoorbench: FOLDER'" in refused(tmp_path, "record/badnet")
    more = {"attacks": ["own.py:f"], "data": [world.entry], "models": [MODEL]}
    assert "trigger of a checkpoint" in refused(tmp_path, recorded(world, "none"), **more)


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


def test_the_command_line_says_it_in_one_line_and_exits_with_2(world, tmp_path):
    from tests.test_architecture import python

    path = study(tmp_path, [recorded(world, "record/none")])
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
    assert "foreign.yaml:" in done.stderr
    assert done.stdout == ""
