"""Nothing that a defense gets leads to the test set or to the trigger."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.contract import Context
from harness.data.cache import default_cache, prepare
from harness.data.device_dataset import load_to_device
from harness.data.options import DataOptions
from harness.plan.registry import load
from harness.plan.spec import LoadedMethod, MethodSpec
from harness.store.store import Store
from harness.training.victim import load_victim, train_victim
from tests.helpers import records, tiny_study

METHODS = Path(__file__).parent.parent / "methods"
SECRETS = ("test_images", "test_labels", "train_images")


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


def test_a_defense_finds_no_test_image_and_no_trigger(tmp_path):
    folder = prepare("digits", DataOptions(), None, default_cache()).folder
    secrets = {name: str(folder / f"{name}.npy") for name in SECRETS}
    peeks = {str(METHODS / "peeks.py"): secrets}
    path = tiny_study.write_study(tmp_path, defenses=[peeks], attacks=["blended"])
    latest = tiny_study.run(path, tmp_path / "out", workers=1)
    record = tiny_study.cell_record(latest, "peeks")
    found = Store(tmp_path / "out" / "store").get(record.result.artifacts.method)
    assert found["given"] > 50, "the model's own tensors at least"
    met_by_reference, in_the_process = found["met"].T.tolist()
    assert in_the_process == [True] * 4, "the search must be able to recognise each secret"
    assert met_by_reference == [False] * 4


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
