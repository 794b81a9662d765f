"""The contract of every defense: what it may touch and must return, and that it works."""

import dataclasses
import itertools
from typing import NamedTuple

import pytest
import torch
from harness.defenses.npd import insert_polarizer

from harness.contract import Budget, Context, Defended
from harness.data.augment import Augment
from harness.plan.registry import describe, load, names
from harness.toolbox.masks.caps import with_caps
from harness.toolbox.masks.channel_gates import block_sites, with_gated_blocks
from harness.toolbox.numerics import numerics
from tests.helpers.planted_models import (
    CLASSES,
    HIDDEN,
    SIDE,
    clean_budget,
    pictures,
    planted,
    planted_deep,
    planted_transformer,
    scores,
    stamp,
)

SHORT = {
    "aft": {"lr": 0.01},
    "anp": {"iterations": 150},
    "awm": {"rounds": 8, "lr": 0.05, "perturbation_lr": 30},
    "ban": {"epochs": 10, "lr": 0.05},
    "bti_dbf": {
        "width": 4,
        "pretraining_epochs": 10,
        "rounds": 2,
        "generator_epochs": 20,
        "unlearning_epochs": 20,
        "lr": 0.01,
    },
    "cnp": {"share": 0.07, "passes": 10, "trigger_passes": 10, "trigger_lr": 0.02},
    "d3": {"epochs": 20},
    "fmp": {"group": 16, "epochs": 30},
    "fst": {"epochs": 40},
    "ft": {"epochs": 30},
    "ft_sam": {"epochs": 30},
    "grad_prune": {"tuning_epochs": 30},
    "grad_prune_synthetic": {"inversion_epochs": 40, "inversion_steps": 5, "tuning_epochs": 30},
    "i_bau": {"lr": 1e-2, "rounds": 20},
    "ims": {
        "sparsity": 0.5,
        "inner_lr": 0.02,
        "inner_steps": 10,
        "initial_rounds": 40,
        "rounds": 40,
    },
    "ims_vit": {"inner_lr": 0.02, "inner_steps": 5, "initial_rounds": 40, "rounds": 30},
    "mcr": {"epochs": 30, "curve_epochs": 60, "curve_lr": 0.1, "t": 0.3},
    "nad": {"epochs": 30},
    "nc": {"inversion_epochs": 40, "inversion_steps": 5, "epochs": 30},
    "nft": {"iterations": 10, "beta": 5, "lr": 3},
    "oracle": {"epochs": 30},
    "pam": {
        "width": 4,
        "pretraining_epochs": 10,
        "rounds": 2,
        "generator_epochs": 20,
        "tuning_epochs": 40,
        "lr": 0.2,
    },
    "sau": {"epochs": 40, "lr": 5e-3},
    "tac_qp": {"epochs": 30},
}
"""Sized for networks of 32 channels and for seconds. The sparsity of IMS is a mean over channels:
its pull on each is 150 times what it is in a network of 4,800. The one mask of NFT is that of a
first layer, which may hardly change: a larger beta lets it."""

NO_CLAIM = {"none", "ft_step", "random_prune"}
"""Controls: they are there because they do not claim to remove a backdoor."""


BRIEF = {
    "anp": {"iterations": 10},
    "awm": {"rounds": 2},
    "bti_dbf": {"pretraining_epochs": 2, "rounds": 1, "generator_epochs": 2},
    "cnp": {"passes": 1, "trigger_passes": 1},
    "d3": {"epochs": 5},
    "ims": {"initial_rounds": 5, "rounds": 3, "inner_steps": 2},
    "ims_vit": {"initial_rounds": 5, "rounds": 3, "inner_steps": 2},
    "lmr": {"unlearning_steps": 10, "repulsion_steps": 5, "tuning_steps": 5},
    "mcr": {"epochs": 3, "curve_epochs": 3},
    "nc": {"inversion_epochs": 3, "inversion_steps": 2, "epochs": 3},
    "nft": {"iterations": 2},
    "grad_prune_synthetic": {"inversion_epochs": 3, "inversion_steps": 2, "tuning_epochs": 3},
    "tsbd": {"unlearn_epochs": 20},
    "unit": {"steps": 10},
}
"""Where removal is not asked for, but bits, types and access."""


FLOOR = {"ft_step": 0.85, "random_prune": 0.5}
"""Below the 0.9 of all others: one step is no training, and four validation images let much
pass."""


def with_gates(net):
    sites = block_sites(net)
    return with_gated_blocks(net, sites.split(torch.ones(sites.count())))


PARTS = {
    "ims_vit": with_gates,
    "mm_bm": lambda net: with_caps(net, {"relu": [torch.ones(HIDDEN, 1, 1)]}),
    "npd": lambda net: insert_polarizer(net) and net,
    "unit": lambda net: with_caps(net, {"relu": [torch.ones(HIDDEN, SIDE, SIDE)]}),
}
"""What a defense leaves in the network, which its weights need to be loaded."""


def run(name, victim, budget, sizes=BRIEF, arithmetic="fp32"):
    method = load("defense", name)
    ctx = Context(torch.device("cpu"), torch.Generator().manual_seed(1), numerics=arithmetic)
    torch.manual_seed(1)
    hyper = method.hyper(**{**SHORT.get(name, {}), **sizes.get(name, {})})
    returned = method.function(victim, budget, hyper, ctx)
    return returned if isinstance(returned, Defended) else Defended(returned)


def about(name):
    return describe("defense", name).info


def victim_of(name):
    if name == "npd":  # its layer goes in front of the last convolution
        return planted_deep()
    return planted_transformer() if about(name).requires == "encoder-blocks" else planted()


def budget_of(name, spc):
    return clean_budget(spc, triggers=about(name).needs == "triggers")


def tensors(repaired):
    networks = {"model": repaired.model, **repaired.companions}
    state = {f"{n}.{k}": x for n, net in networks.items() for k, x in net.state_dict().items()}
    return {**state, **repaired.artifacts}


def test_the_planted_backdoors_work():
    for victim in (planted(), planted_transformer()):
        acc, asr = scores(victim)
        assert acc >= 0.99
        assert asr >= 0.99


def test_the_trigger_of_the_planted_models_is_what_their_filters_see():
    images = clean_budget(1).images
    response = planted().conv(stamp(images))[:, -1, -2, -2]
    assert response.tolist() == pytest.approx([1.0] * CLASSES, abs=1e-5)


@pytest.fixture(scope="module", params=names("defense"))
def name(request):
    return request.param


class Brief(NamedTuple):
    """A brief run on the least budget that lets every defense validate."""

    budget: Budget
    repaired: Defended


@pytest.fixture(scope="module")
def brief(name):
    budget = budget_of(name, 2)
    return Brief(budget, run(name, victim_of(name), budget))


def test_it_removes_what_it_claims_to_and_keeps_the_task(name):
    acc, asr = scores(run(name, victim_of(name), budget_of(name, 10), SHORT).model.eval())
    assert acc >= FLOOR.get(name, 0.9)
    if name not in NO_CLAIM:
        assert asr <= 0.5


def test_same_seed_same_bits_and_everything_finite_at_its_least_budget(name):
    budget = budget_of(name, about(name).least_spc)
    first, again = (tensors(run(name, victim_of(name), budget)) for _ in range(2))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(x.isfinite().all() for x in first.values())


def test_in_bf16_it_runs_keeps_as_much_of_the_task_and_returns_float32(name, brief):
    with numerics("bf16", torch.device("cpu")):
        repaired = run(name, victim_of(name), budget_of(name, 2), arithmetic="bf16")
    found = tensors(repaired)
    assert not any(x.dtype == torch.bfloat16 for x in found.values())
    assert all(x.isfinite().all() for x in found.values())
    accuracies = [scores(x.model.eval())[0] for x in (brief.repaired, repaired)]
    assert accuracies[1] >= accuracies[0] - 0.1


def test_it_returns_a_plain_model_and_leaves_its_budget_as_it_was(name, brief):
    model, untouched = brief.repaired.model.eval(), budget_of(name, 2)
    for kept, given in zip(
        dataclasses.astuple(untouched), dataclasses.astuple(brief.budget), strict=True
    ):
        assert torch.equal(kept, given) if isinstance(kept, torch.Tensor) else kept == given
    fresh = PARTS.get(name, lambda net: net)(victim_of(name))
    fresh.load_state_dict(model.state_dict())
    images, _ = pictures(2, seed=9)
    assert torch.allclose(fresh.eval()(images), model(images), atol=1e-4)
    assert all(p.requires_grad for p in model.parameters())


class Watched(Budget):
    """A budget that notes who asks for triggers."""

    asked = 0

    def __getattribute__(self, name):
        if name == "triggered":
            type(self).asked += 1
        return super().__getattribute__(name)


class Watch(Augment):
    """An augmentation that notes whether it is shown anything but the budget's own images."""

    def __init__(self, images):
        object.__setattr__(self, "own", {image.numpy().tobytes() for image in images})
        object.__setattr__(self, "seen", [])

    def apply(self, images, drawn):
        self.seen.extend(image.numpy().tobytes() in self.own for image in images)
        return images


AUGMENTS = ["anp", "fp", "fst", "ft", "ft_sam", "ft_step", "i_bau", "nad", "rnp", "tsbd"]


@pytest.mark.parametrize("name", AUGMENTS)
def test_it_trains_on_its_budget_and_on_nothing_else(name):
    images, labels = pictures(4, seed=1)
    watch = Watch(images)
    run(name, planted(), Budget(images, labels, 4, watch))
    assert watch.seen
    assert all(watch.seen)


CLEAN = [name for name in names("defense") if about(name).needs == "clean"]


@pytest.mark.parametrize(
    "name", ["ft", "clp", "sau", "i_bau", "nad", "bnp", "fst", "tsbd", "ft_sam", "ims"]
)
def test_a_defense_of_clean_samples_does_not_ask_for_triggers(name):
    assert name in CLEAN
    plain = clean_budget(2)
    Watched.asked = 0
    budget = Watched(plain.images, plain.labels, plain.classes, plain.augment, stamp(plain.images))
    run(name, planted(), budget)
    assert Watched.asked == 0


@pytest.mark.parametrize("name", [n for n in names("defense") if about(n).least_spc == 2])
def test_who_validates_says_so_and_cannot_run_on_one_image(name):
    with pytest.raises(ValueError, match="two are needed"):
        run(name, victim_of(name), budget_of(name, 1))


@pytest.mark.parametrize("name", [n for n in names("defense") if about(n).requires is None])
def test_what_asks_for_no_layers_runs_on_a_transformer(name):
    repaired = run(name, planted_transformer(), budget_of(name, 2))
    assert repaired.model.eval()(pictures(1, seed=4)[0]).isfinite().all()


def test_every_hyper_is_known_while_planning():
    for name in names("defense"):
        light, real = describe("defense", name), load("defense", name)
        defaults = [
            {field.name: field.default for field in dataclasses.fields(kind)}
            for kind in (light.hyper, real.hyper)
        ]
        assert defaults[0] == defaults[1]
    assert not list(itertools.filterfalse(set(names("defense")).__contains__, SHORT))
