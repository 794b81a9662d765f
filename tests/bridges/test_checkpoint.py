"""Checkpoints with every form of trigger and every wrapper; a wrong entry is located."""

import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

from harness.data.cache import default_cache
from harness.plan.entries import resolve_method
from harness.plan.registry import load
from harness.report.frame.report_data import load_report_data
from harness.report.write import write_report
from harness.store.store import store_of
from harness.study.load import load_study
from harness.training.network import build
from tests.helpers import tiny_study
from tests.helpers.backdoorbench_records import MODEL, TARGET
from tests.helpers.imported_studies import refused, run_victim, scores, write_study

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

def smaller(images):
    return images[..., :4]

def nothing(images):
    return None

def undefined(images):
    return images * float("nan")
"""


def write_trigger_files(folder):
    white = np.full((8, 8, 3), 255, np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[-2:, -2:] = 255
    Image.fromarray(white).save(folder / "white.png")
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(white[:2, :2]).save(folder / "patch.png")
    (folder / "own.py").write_text(OWN)


def checkpoint_entry(squares, folder):
    """Write a file of weights and of triggers; return the entry of a victim with them."""
    write_trigger_files(folder)
    torch.save(squares.weights, folder / "net.pth")
    return {
        "checkpoint": "net.pth",
        "model": MODEL,
        "data": squares.entry,
        "target": TARGET,
        "trigger": "own.py:corner",
    }


TRIGGERS = [
    {"patch": {"image": "patch.png"}},
    {"patch": {"image": "patch.png", "position": [6, 6]}},
    {"pattern": {"image": "white.png", "mask": "mask.png"}},
    "own.py:corner",
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=str)
def test_every_form_of_the_same_trigger_gives_the_same_scores(squares, tmp_path, trigger):
    entry = {**checkpoint_entry(squares, tmp_path), "trigger": trigger}
    assert scores(run_victim(write_study(tmp_path, [entry]), tmp_path / "out")) == squares.scores


@pytest.mark.parametrize("name", [*WRAPPERS, "ours.safetensors"])
def test_every_wrapper_is_read(squares, tmp_path, name):
    write_trigger_files(tmp_path)
    if name in WRAPPERS:
        torch.save(WRAPPERS[name](squares.weights), tmp_path / name)
    else:
        safetensors.torch.save_file(
            {f"net.{key}": x for key, x in squares.weights.items()}, tmp_path / name
        )
    trigger = {"blend": {"image": "white.png", "alpha": 0.5}}
    entry = {
        "checkpoint": name,
        "model": MODEL,
        "data": squares.entry,
        "target": TARGET,
        "trigger": trigger,
    }
    result = run_victim(write_study(tmp_path, [entry]), tmp_path / "out")
    assert result.acc == squares.scores["acc"]
    assert result.linf == pytest.approx(128, abs=10)


def test_normalisation_is_part_of_the_victim(squares, tmp_path):
    write_trigger_files(tmp_path)
    torch.save(squares.weights, tmp_path / "net.pth")
    bare = {"checkpoint": "net.pth", "model": MODEL, "data": squares.entry, "target": TARGET}
    forms = ["data", "none", {"mean": [0.5] * 3, "std": [0.2] * 3}]
    entries = [{**bare, "trigger": "own.py:corner", "normalise": form} for form in forms]
    plan = load_study(write_study(tmp_path, entries), None, default_cache())
    found = {cell.victim.key: cell.victim.data for cell in plan.cells}
    assert [(info.mean[0], info.std[0]) for info in found.values()] == [
        (0.4, 0.3),
        (0.0, 1.0),
        (0.5, 0.2),
    ]
    assert len({cell.victim.attack.label for cell in plan.cells}) == 3
    assert len({cell.name for cell in plan.cells}) == 3


VIEWS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        x = self.body(x)
        return self.head(FLATTENED)


def net(channels, classes):
    return Net(channels, classes)
"""


def test_a_forward_with_view_has_the_scores_of_one_without(squares, tmp_path):
    write_trigger_files(tmp_path)
    forms = {"view": "x.view(x.size(0), -1)", "reshape": "x.flatten(1)"}
    for name, form in forms.items():
        (tmp_path / f"{name}.py").write_text(VIEWS.replace("FLATTENED", form))
    weights = load("model", str(tmp_path / "view.py:net")).function(3, 3, None).state_dict()
    torch.save(weights, tmp_path / "net.pth")
    entry = {"checkpoint": "net.pth", "data": squares.entry, "target": TARGET}
    entries = [{**entry, "trigger": "own.py:corner", "model": f"{name}.py:net"} for name in forms]
    # training on the budget, the search for perturbations and gates as well as evaluation
    defenses = ["none", {"ft": {"epochs": 1}}, {"ims": {"initial_rounds": 1, "rounds": 1}}]
    path = write_study(tmp_path, entries, defenses=defenses, gate={"acc": 0.0, "asr": 0.0})
    records = tiny_study.run(path, tmp_path / "out").values()
    assert {record.status for record in records} == {"ok"}, [record.error for record in records]
    assert len(records) == len(forms) * (1 + len(defenses))
    first, second = (scores(record.result) for record in records if record.kind == "victim")
    assert first == second


def test_a_name_is_what_readers_see_and_part_of_no_key(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)

    def planned(**more):
        path = write_study(tmp_path, [{**entry, **more}])
        return load_study(path, None, default_cache()).cells[0]

    plain, named = planned(), planned(name="BadNets of 2017")
    assert plain.victim.attack.label == "net"
    assert named.victim.attack.label == named.victim.attack.display == "BadNets of 2017"
    assert plain.key == named.key
    message = refused(tmp_path, {**entry, "name": "a / b"})
    assert "victims[0].name: a name has letters, digits, spaces" in message


def test_an_unknown_poison_rate_is_shown_as_unknown(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)
    path = write_study(tmp_path, [entry], gate={"acc": 0.0, "asr": 0.0})
    tiny_study.run(path, tmp_path / "out")
    study = load_study(path, None, default_cache())
    report = tmp_path / "report"
    write_report(load_report_data([study], store_of(tmp_path / "out")), report)
    board = (report / "leaderboard.md").read_text()
    assert "at poison rate unknown" in board
    assert "0 %" not in board
    rates = pd.read_csv(report / "records.csv")["rate"]
    assert rates.isna().all()


def test_other_files_under_the_same_name_are_another_data_set(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)
    (name,) = squares.entry
    smaller = {name: {**squares.entry[name], "size": 6}}
    path = write_study(tmp_path, [{**entry, "data": data} for data in (squares.entry, smaller)])
    first, second = (cell.victim.data for cell in load_study(path, None, default_cache()).cells)
    assert first.name == name
    assert second.name == f"{name} ({second.digest[:6]})"


def test_a_checkpoint_without_a_backdoor_is_a_clean_model(squares, tmp_path):
    """Its cells run, its cost stands on the board, and no ASR is printed of it."""
    attacked = checkpoint_entry(squares, tmp_path)
    clean = {key: x for key, x in attacked.items() if key != "target"}
    clean |= {"trigger": "none", "name": "untouched"}
    path = write_study(
        tmp_path,
        [attacked, clean],
        defenses=["none", {"ft": {"epochs": 1}}],
        gate={"asr": 0.0, "acc": 0.0, "run": "planted"},
    )
    study = load_study(path, None, default_cache())
    trained, imported = study.cells[0].victim, study.cells[-1].victim
    assert (imported.is_clean, imported.attack.label, imported.rate) == (True, "untouched", 0)
    latest = tiny_study.run(path, tmp_path / "out")
    results = {record.name: record.result for record in latest.values()}
    assert {record.status for record in latest.values()} == {"ok"}
    (ft,) = (
        results[x.name] for x in study.cells if x.victim is imported and x.defense.name == "ft"
    )
    assert list(ft.triggers) == [trained.attack.label]
    data = load_report_data([study], store_of(tmp_path / "out"))
    write_report(data, tmp_path / "report")
    read = {
        name: (tmp_path / "report" / f"{name}.md").read_text() for name in ("leaderboard", "clean")
    }
    assert "clean ΔACC" in read["leaderboard"]
    assert "untouched" not in read["leaderboard"]  # it is in no mean of attacks
    assert f"{100 * ft.acc:.1f}" in read["clean"]
    own = data.victims.set_index("attack").loc["untouched"]
    assert own["verdict"] == "clean"
    assert own[["asr", "ra", "psnr"]].isna().all()


def test_clean_models_alone_are_a_study_with_a_board(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)
    clean = {key: x for key, x in entry.items() if key != "target"} | {"trigger": "none"}
    path = write_study(tmp_path, [clean], gate={"asr": 0.8})
    assert {record.status for record in tiny_study.run(path, tmp_path / "out").values()} == {"ok"}
    data = load_report_data([load_study(path, None, default_cache())], store_of(tmp_path / "out"))
    write_report(data, tmp_path / "report")
    board = (tmp_path / "report" / "leaderboard.md").read_text()
    assert "clean models" in board
    assert "ΔACC" in board


BAD = {
    "target of a clean model": (
        {"trigger": "none"},
        "victims[0].target: a model without a trigger has no target; leave it out",
    ),
    "no target": ({"target": None}, "victims[0].target: 'target' is missing"),
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
    "patch beyond the image": (
        {"trigger": {"patch": {"image": "patch.png", "position": [29, 29]}}},
        "victims[0].trigger.patch: a patch of 2x2 at 29, 29 does not fit into 8x8",
    ),
    "trigger's file": ({"trigger": {"patch": {"image": "no.png"}}}, "no file"),
    "function": ({"trigger": "own.py:korner"}, "no function 'korner'; did you mean 'corner'?"),
    "trigger's shape": (
        {"trigger": "own.py:smaller"},
        "smaller fails on images of squares: ValueError: the trigger makes (2, 3, 8, 4) of images",
    ),
    "trigger without images": ({"trigger": "own.py:nothing"}, "nothing fails on images of squares"),
    "trigger of NaN": ({"trigger": "own.py:undefined"}, "ValueError: the trigger gives NaN"),
    "target": (
        {"target": 3},
        "victims[0].target: no class of squares: 3; squares has the classes 0 to 2",
    ),
    "file": ({"checkpoint": "none.pth"}, "victims[0].checkpoint: no file"),
    "normalise": ({"normalise": "yes"}, "victims[0].normalise: needs data, none, or a mapping"),
    "statistics": (
        {"normalise": {"mean": [0.5], "std": [0.5]}},
        "needs 3 values of mean, and 3 of std",
    ),
    "architecture": (
        {"model": "preactresnet18"},
        "mis-shaped conv1.weight (4, 3, 3, 3), not (64, 3, 3, 3)",
    ),
    "other architecture": (
        {"model": "resnet18"},
        "missing bn1.weight, bn1.bias, bn1.running_mean and ",
    ),
}


@pytest.mark.parametrize(("change", "expected"), BAD.values(), ids=BAD)
def test_a_fault_of_an_entry_is_located(squares, tmp_path, change, expected):
    message = refused(tmp_path, {**checkpoint_entry(squares, tmp_path), **change})
    assert expected in message
    assert "imported.yaml:" in message
    assert "\n" not in message


def test_all_faults_of_an_entry_are_named_at_once(squares, tmp_path):
    changes = {
        "checkpoint": "none.pth",
        "model": "preactresnet81",
        "target": "blu",
        "normalise": "yes",
        "trigger": {"patch": {"image": "no.png"}},
        "nmae": "x",
    }
    lines = refused(tmp_path, {**checkpoint_entry(squares, tmp_path), **changes}).splitlines()
    found = {line.split(": ")[1] for line in lines}
    assert found == {
        "victims[0].checkpoint",
        "victims[0].model",
        "victims[0].target",
        "victims[0].normalise",
        "victims[0].trigger.patch.image",
        "victims[0].nmae",
    }


def test_a_missing_key_hides_no_other_fault(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)
    del entry["model"]
    said = refused(tmp_path, {**entry, "target": 7})
    assert "victims[0]: 'model' is missing" in said
    assert "victims[0].target: no class of squares: 7" in said


def test_a_test_split_of_the_target_class_alone_has_no_asr(squares, tmp_path):
    root = tmp_path / "one"
    shutil.copytree(squares.root, root)
    for label in (0, 2):
        for file in (root / "test" / str(label)).iterdir():
            file.unlink()
    data = {"one": {**squares.entry["squares"], "path": str(root)}}
    said = refused(tmp_path, {**checkpoint_entry(squares, tmp_path), "data": data, "target": 1})
    assert said.endswith("target: all test images of one are of class 1: there is no ASR on them")


def test_a_network_too_deep_for_its_images_is_refused(squares, tmp_path):
    deep = {"vgg19_bn": {"width": 0.03}}
    network = build(resolve_method("model", deep, tmp_path), squares.info).get_submodule("net")
    torch.save(network.state_dict(), tmp_path / "deep.pth")
    entry = {**checkpoint_entry(squares, tmp_path), "checkpoint": "deep.pth", "model": deep}
    assert "victims[0].checkpoint: the network fails on images of squares" in refused(
        tmp_path, entry
    )


def test_weights_that_are_no_numbers_are_refused(squares, tmp_path):
    entry = checkpoint_entry(squares, tmp_path)
    weights = {name: x.clone() for name, x in squares.weights.items()}
    weights["conv1.weight"][0] = float("nan")
    torch.save(weights, tmp_path / "net.pth")
    assert "net.pth: NaN or infinity in conv1.weight" in refused(tmp_path, entry)
