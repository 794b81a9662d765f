"""How often loops wait for the GPU: bars that may only fall."""

from dataclasses import replace

import pytest
import torch

from harness.contract import Recipe
from harness.data.augment import Augment
from harness.plan.registry import load
from harness.toolbox.fit import fit
from tests.helpers.gpu_victims import context
from tests.helpers.planted_models import clean_budget, small_resnet
from tests.helpers.pretended_gpu import PretendedGpu
from tests.helpers.shortest import shortest

BARS = {
    ("anp", "iterations"): 3,
    ("fst", "epochs"): 3,
    ("ft", "epochs"): 3,
    ("ft_sam", "epochs"): 3,
    ("i_bau", "rounds"): 5,
    ("ims", "inner_steps"): 0,
    ("ims", "initial_rounds"): 2,
    ("ims", "rounds"): 4,
    ("nad", "epochs"): 3,
    ("nc", "inversion_epochs"): 24,
    ("rnp", "unlearn_epochs"): 5,
    ("sau", "epochs"): 2,
    ("tsbd", "epochs"): 3,
}
"""By defense and the field that says how often its loop is run: waits for one more step at SPC 2,
where an epoch is one step. The rounds of IMS are those of two stages, an epoch of NC's inversion is
two steps for each of four classes."""


def waits(name, field, steps):
    method = load("defense", name)
    patient = {"patience": 99} if name == "ims" else {}
    hyper = method.hyper(**{**shortest("defense", name), **patient, field: steps})
    with PretendedGpu() as gpu:
        clean = clean_budget(2)
        budget = replace(clean, images=clean.images.to("cuda"), labels=clean.labels.to("cuda"))
        method.function(small_resnet().to("cuda"), budget, hyper, context())
    return gpu.syncs


@pytest.mark.parametrize(("name", "field"), BARS)
def test_one_more_step_of_a_defense_waits_no_more_often_than_it_did(name, field):
    more = waits(name, field, 4) - waits(name, field, 3)
    assert more.total() <= BARS[name, field], more


def trained(samples):
    with PretendedGpu() as gpu:
        images = torch.zeros(samples, 3, 8, 8, dtype=torch.uint8).to("cuda")
        labels = (torch.arange(samples) % 4).to("cuda")
        recipe = Recipe(epochs=1, batch=8, precision="fp32")
        fit(small_resnet().to("cuda"), (images, labels), recipe, Augment(2, True), context())
    return gpu.syncs


def test_one_more_step_of_training_waits_for_nothing():
    more = trained(48) - trained(40)
    assert more.total() == 0, more
