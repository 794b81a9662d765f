"""Defenses on every architecture that they can run on, at SPC 2: finite, and the same when loaded.

Each takes its shortest schedule; what it does is tested elsewhere.
"""

import pytest
import torch

from harness.contract import Budget, Defended
from harness.data.augment import Augment
from harness.plan.registry import describe, load, names
from harness.toolbox.normalise import Normalise
from tests.helpers.planted_models import cpu_context
from tests.helpers.tiny_victims import QUICK

CLASSES = 2
STEADY = {"epochs": 1, "lr": 1e-4}
"""At the default rate a step can blow up an untrained network of forty batch norms and 1x1 maps."""
SHORTEST = {
    "aft": {"adversarial_epochs": 1, "clean_epochs": 1, "steps": 1},
    "awm": {"rounds": 1, "passes": 1},
    "ban": STEADY,
    "d3": STEADY,
    "nft": {"rounds": 1, "iterations": 1},
}


def network(name):
    method = load("model", name)
    torch.manual_seed(0)
    net = method.function(3, CLASSES, method.hyper(**QUICK.get(name, {})))
    return torch.nn.Sequential(Normalise((0.5,) * 3, (0.25,) * 3), net).eval()


def budget():
    images = torch.rand(2 * CLASSES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Budget(images, torch.arange(2 * CLASSES) % CLASSES, CLASSES, Augment())


def can_run(defense, layers):
    needed = describe("defense", defense).info.requires
    return needed is None or needed in layers


@pytest.mark.parametrize("architecture", names("model"))
def test_a_defense_runs_on_every_architecture_with_its_layers(architecture):
    layers = describe("model", architecture).info.layers
    ran = [name for name in SHORTEST if can_run(name, layers)]
    assert ran
    for name in ran:
        method, data = load("defense", name), budget()
        hyper = method.hyper(**SHORTEST[name])
        returned = method.function(network(architecture), data, hyper, cpu_context())
        model = (returned if isinstance(returned, Defended) else Defended(returned)).model
        assert model.eval()(data.images).isfinite().all(), name
