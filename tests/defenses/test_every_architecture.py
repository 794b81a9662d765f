"""Defenses on every architecture that they can run on, at SPC 2: finite, and the same when loaded.

Each takes its shortest schedule; what it does is tested elsewhere.
"""

import copy

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
INVERSION = {"width": 1, "pretraining_epochs": 1, "mask_epochs": 1, "generator_epochs": 1}
SHORTEST = {
    "aft": {"adversarial_epochs": 1, "clean_epochs": 1, "steps": 1},
    "awm": {"rounds": 1, "passes": 1},
    "ban": STEADY,
    "bti_dbf": {**INVERSION, "rounds": 1, "unlearning_epochs": 1},
    "cnp": {"passes": 1, "trigger_passes": 1, "repeats": 1},
    "d3": STEADY,
    "fmp": {**STEADY, "group": 10_000},
    "lmr": {"unlearning_steps": 1, "repulsion_steps": 1, "tuning_steps": 1, "lr": 1e-4},
    "mcr": {**STEADY, "curve_epochs": 1, "others": ()},
    "mm_bm": {"epochs": 1},
    "nft": {"rounds": 1, "iterations": 1},
    "npd": {"epochs": 1, "warm_up_epochs": 1},
    "pam": {**INVERSION, "rounds": 1, "tuning_epochs": 1, "lr": 1e-4},
    "tac_qp": {**STEADY, "iterations": 10},
    "unit": {"steps": 1},
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
    victim = network(architecture)
    for name in ran:
        method, data = load("defense", name), budget()
        hyper = method.hyper(**SHORTEST[name])
        returned = method.function(copy.deepcopy(victim), data, hyper, cpu_context())
        model = (returned if isinstance(returned, Defended) else Defended(returned)).model
        assert model.eval()(data.images).isfinite().all(), name
