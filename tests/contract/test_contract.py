"""Nothing that a defense gets leads to the test set or to the trigger."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.contract import Context
from harness.data.cache import default_cache, prepare
from harness.data.device_dataset import load_to_device
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from harness.execution.own import landlock
from harness.plan.registry import load
from harness.plan.spec import Cell, LoadedMethod, MethodSpec
from harness.store.store import Store
from harness.training.victim import load_victim, train_victim
from tests.helpers import records, tiny_study

METHODS = Path(__file__).parent.parent / "methods"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A trained victim with its data, as a worker holds them."""
    folder = tmp_path_factory.mktemp("session")
    study = tiny_study.load(tiny_study.write_study(folder, defenses=["none"], attacks=["blended"]))
    cell, store, device = study.cells[0], Store(folder / "store"), torch.device("cpu")
    data = load_to_device(prepare("digits", DataOptions(), None, default_cache()), device)
    result = train_victim(cell.victim, data, Context(device, torch.Generator()), store)
    record = records.ok(cell.victim, result)
    return cell, data, load_victim(cell.victim, record, data, device, store), store


def given(session, needs="clean"):
    """Run a cell with a defense that keeps its arguments, and return these."""
    from harness.execution.cell import run_cell

    cell, data, victim, store = session
    seen = {}

    def spy(model, budget, hyper, ctx):
        seen["arguments"] = (model, budget, hyper, ctx)
        return model

    method = LoadedMethod(spy, None, load("defense", "none").info)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MethodSpec, "load", lambda _: method)
        ctx = Context(torch.device("cpu"), torch.Generator())
        run_cell(replace(cell, needs=needs), victim, data, ctx, store)
    return seen["arguments"]


WATERMARK = """from harness.contract import attack, trigger_only
from harness.attacks import badnets


def zebra(images, state):
    return 1 - images


@attack(trigger=zebra, paper="for tests", year=2026)
def watermark(train, goal, hyper, ctx):
    return badnets.badnets(train, goal, badnets.Hyper(), ctx)._replace(state={})
"""


@pytest.fixture
def peeking(tmp_path):
    """A study file whose name, folder and attack are words to be found, and its defense."""
    data = prepare("digits", DataOptions(), None, default_cache())
    images = open_arrays(data).test_images
    secrets = {"test": images, "triggered": 255 - images}
    np.savez(tmp_path / "secrets.npz", **secrets)
    (tmp_path / "watermark.py").write_text(WATERMARK)
    words = ["small.yaml", tmp_path.name, "zebra"]
    own = tmp_path / "peeks.py"
    shutil.copy(METHODS / "peeks.py", own)
    files = [*data.folder.iterdir(), own, tmp_path / "small.yaml", tmp_path / "watermark.py"]
    files += [Path(f"/proc/{os.getpid()}/{name}") for name in ("mem", "maps", "environ", "cmdline")]
    hyper = {
        "secrets": str(tmp_path / "secrets.npz"),
        "sdrow": " ".join(words)[::-1],
        "selif": " ".join(map(str, files))[::-1],
    }
    path = tiny_study.write_study(
        tmp_path,
        attacks=["./watermark.py"],
        defenses=[{"./peeks.py": hyper}],
        budgets=[{"spc": 2}, {"spc": 3}],
    )
    return path, words, files


def notes_of_both_cells(latest):
    found = [tiny_study.cell_record(latest, "peeks", f"SPC {spc}") for spc in (2, 3)]
    assert [x.status for x in found] == ["ok", "ok"], [x.traceback for x in found]
    return [x.result.notes for x in found]


@pytest.mark.parametrize("workers", [None, 1])
def test_an_own_defense_finds_no_test_image_no_trigger_and_no_study(peeking, tmp_path, workers):
    latest = tiny_study.run(peeking[0], tmp_path / "out", workers=workers)
    for notes in notes_of_both_cells(latest):
        searched = notes.pop("searched")
        assert int(searched.split()[0]) > 50, "the model's own tensors at least"
        opened = notes.pop("opened")
        assert notes == {"met": "", "from before": "0"}
        assert not opened or not landlock.version(), "files on disk, and other processes"


def test_the_same_search_finds_all_of_it_in_a_worker(peeking, tmp_path, monkeypatch):
    path, words, files = peeking
    monkeypatch.setattr(Cell, "runs_own_file", False)
    both = notes_of_both_cells(tiny_study.run(path, tmp_path / "out"))
    assert [notes["met"] for notes in both] == ["test triggered"] * 2
    assert {notes["from before"] for notes in both} == {"0", "1"}
    assert set(words) <= both[0].keys()
    assert set(map(str, files)) <= set(both[0]["opened"].split())


def test_the_copy_is_private(session):
    _, _, victim, _ = session
    before = {name: x.clone() for name, x in victim.model.state_dict().items()}
    model, budget, _, _ = given(session)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers(), budget.images]:
            tensor.zero_()
    assert all(torch.equal(x, before[name]) for name, x in victim.model.state_dict().items())
    assert given(session)[1].images.any()


def test_only_an_oracle_gets_triggered_copies(session):
    _, _, victim, _ = session
    assert given(session)[1].triggered is None
    budget = given(session, needs="triggers")[1]
    assert budget.triggered.shape == budget.images.shape
    assert torch.allclose(budget.triggered, victim.trigger(budget.images), atol=0.5 / 255 + 1e-6)
    assert budget.subset(torch.tensor([3])).triggered.shape[0] == 1
