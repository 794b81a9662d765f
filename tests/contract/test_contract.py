"""What a defense holds leads neither to the test set nor to the trigger."""

import pickle

import pytest
import torch

from harness.contract import Context
from harness.data.cache import default_cache, prepare
from harness.data.device_dataset import load_to_device
from harness.data.options import DataOptions
from harness.errors import UserError
from harness.plan.entries import resolve_method
from harness.plan.registry import describe, load
from harness.plan.spec import LoadedMethod, MethodSpec
from harness.store.store import Store
from harness.training.victim import load_victim, train_victim
from tests.helpers import tiny_study


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A trained victim with its data, as a worker holds them."""
    folder = tmp_path_factory.mktemp("bench")
    study = tiny_study.plan(tiny_study.write_study(folder, defenses=["none"], attacks=["blended"]))
    cell, store, device = study.cells[0], Store(folder / "store"), torch.device("cpu")
    data = load_to_device(prepare("digits", DataOptions(), None, default_cache()), device)
    result = train_victim(cell.victim, data, Context(device, torch.Generator()), store)
    return cell, data, load_victim(cell.victim, {"result": result}, data, device, store), store


def handed(bench, needs="clean"):
    """Run a spy defense through the cell, and return what it was given."""
    from dataclasses import replace

    from harness.execution.cell import run_cell

    cell, data, victim, store = bench
    seen = {}

    def spy(model, budget, hyper, ctx):
        seen["arguments"] = (model, budget, hyper, ctx)
        return model

    method = LoadedMethod(spy, None, load("defense", "none").info)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MethodSpec, "load", lambda _: method)
        ctx = Context(torch.device("cpu"), torch.Generator())
        run_cell([replace(cell, needs=needs)], victim, data, [ctx], store)
    return seen["arguments"]


PEEKS = '''"""Peeks: follows every reference from what it was handed, and says which secrets it met."""
import gc, sys, types
from pathlib import Path
import numpy as np
import torch
from harness.contract import Defended, defense

def reachable(*roots):
    seen, queue, tensors = set(), list(roots), []
    while queue:
        thing = queue.pop()
        if id(thing) in seen or type(thing) is types.FrameType:
            continue
        seen.add(id(thing))
        if issubclass(type(thing), torch.Tensor):
            tensors.append(thing)
        queue.extend(gc.get_referents(thing))
    return tensors

def holds(tensors, secret):
    alike = [t for t in tensors if t.ndim == secret.ndim and t.dtype == secret.dtype]
    return any(t.shape == secret.shape and torch.equal(t, secret) for t in alike)

@defense(paper="none", year=2026, family="control")
def peeks(model, budget, hyper, ctx):
    folder = Path({folder!r})
    names = ("test_images", "test_labels", "train_images")
    secrets = [torch.from_numpy(np.load(folder / f"{{name}}.npy")) for name in names]
    generator = torch.Generator().manual_seed(0)
    # the pattern that Blended draws from its seed
    secrets.append(torch.rand(1, 8, 8, generator=generator))
    handed = reachable(model, budget, hyper, ctx, sys.modules["harness.execution.cell"])
    ours = set(map(id, secrets))
    anywhere = [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor) and id(x) not in ours]
    met = [[holds(handed, secret), holds(anywhere, secret)] for secret in secrets]
    return Defended(model, dict(met=torch.tensor(met), handed=torch.tensor([len(handed)])))
'''


def test_a_defense_finds_no_test_image_and_no_trigger(tmp_path):
    folder = prepare("digits", DataOptions(), None, default_cache()).folder
    (tmp_path / "peeks.py").write_text(PEEKS.format(folder=str(folder)))
    path = tiny_study.write_study(tmp_path, defenses=["./peeks.py"], attacks=["blended"])
    latest = tiny_study.run(path, tmp_path / "out", workers=1)
    record = tiny_study.cell_record(latest, "peeks")
    found = Store(tmp_path / "out" / "store").get(record["result"]["artifacts"]["method"])
    assert found["handed"] > 50, "the model's own tensors at least"
    met_by_reference, in_the_process = found["met"].T.tolist()
    assert in_the_process == [True] * 4, "the search must be able to recognise each secret"
    assert met_by_reference == [False] * 4


def test_the_copy_is_private(bench):
    _, _, victim, _ = bench
    before = {name: x.clone() for name, x in victim.model.state_dict().items()}
    model, budget, _, _ = handed(bench)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers(), budget.images]:
            tensor.zero_()
    assert all(torch.equal(x, before[name]) for name, x in victim.model.state_dict().items())
    assert handed(bench)[1].images.any()


def test_only_an_oracle_gets_triggered_copies(bench):
    _, _, victim, _ = bench
    assert handed(bench)[1].triggered is None
    budget = handed(bench, needs="triggers")[1]
    assert budget.triggered.shape == budget.images.shape
    assert torch.allclose(budget.triggered, victim.trigger(budget.images), atol=0.5 / 255 + 1e-6)
    assert budget.subset(torch.tensor([3])).triggered.shape[0] == 1


HEAVY = '''"""Heavy: {summary}"""
import torch
import numpy as np
from torch import nn
from torch.nn import functional as F
from dataclasses import dataclass
from harness.contract import Budget, Context, Positive, defense
from harness.toolbox.masks.channel_gates import GatedNetwork

@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Its own."""
    lr: Positive = 0.5

class Gate(nn.Module):
    """Named while planning, real while running."""
    def forward(self, x): return x * 1

@torch.no_grad()
def helper(x): return F.relu(x)

@defense(paper="none", year=2026, family="control")
def heavy(model, budget, hyper, ctx):
    return nn.Sequential(model, Gate())
'''


def test_a_file_is_described_without_its_imports_and_then_runs(tmp_path):
    path = tmp_path / "heavy.py"
    path.write_text(HEAVY.format(summary="imports everything"))
    light = describe("defense", str(path))
    assert light.summary == "Heavy: imports everything"
    assert light.hyper().lr == 0.5
    assert light.version.startswith("sha256:")
    real = load("defense", str(path))
    assert isinstance(
        real.function(torch.nn.Identity(), None, real.hyper(), None), torch.nn.Sequential
    )


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ('"""No method."""\n', "one function decorated with @defense is needed, found 0"),
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        ("x = 1\ny = x / 0\n", r"own.py:2: ZeroDivisionError: division by zero \(at module level"),
    ],
)
def test_a_file_that_is_no_method_is_one_line(tmp_path, source, match):
    path = tmp_path / "own.py"
    path.write_text(source)
    with pytest.raises(UserError, match=match):
        describe("defense", str(path))


def test_hyperparameters_survive_the_way_to_a_worker():
    spec = resolve_method("defense", {"ims": {"k": "30", "lr": "1e-3"}}, None)
    hyper = pickle.loads(pickle.dumps(spec)).load().hyper
    assert (hyper.k, hyper.lr) == (30.0, 0.001)
