"""IMS: its loss and its search on the copies that are run, and what its solver leaves behind."""

import copy

import pytest
import torch

from harness.contract import InvertibleMasks
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    VictimBatch,
    add_gradients,
    agree,
    disagree,
)
from harness.toolbox.ims.search import PerturbationSearch
from harness.toolbox.ims.solver import learn_invertible_masks
from harness.toolbox.masks.channel_gates import block_sites, convolution_sites, with_folded_gates
from tests.helpers.living_layers import layers, nothing_else_living
from tests.helpers.planted_models import clean_budget, cpu_context, planted, planted_transformer


def amid():
    """Return a planted network, masks amid their way, and a batch of IMS on it."""
    net, images = planted(), clean_budget(4).images
    networks = Networks(copy.deepcopy(net), convolution_sites(net), images)
    generator = torch.Generator().manual_seed(0)
    a, s = (torch.rand(networks.sites.count(), generator=generator) for _ in range(2))
    masks = MaskPair((0.3 + 0.4 * a).requires_grad_(), s.requires_grad_(), 20)
    return (
        net,
        networks,
        masks,
        VictimBatch(images, net(images).softmax(1).detach()),
    )


def gated(net, gates):
    return lambda x: net.linear(
        net.pool(net.relu(net.norm(net.conv(x) * gates.view(-1, 1, 1))))
    ).softmax(1)


def test_the_loss_of_ims_and_its_gradient_are_those_of_separate_passes_through_the_victim():
    net, networks, masks, batch = amid()
    x, f = batch.x, gated(net, torch.ones(1))
    shifted = x + 0.05 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    f_m, f_i = gated(net, masks.mask()), gated(net, masks.inverse())
    expected = (
        agree(f_m(x), f(x))
        + agree(f_m(shifted), f(x))
        + agree(f_i(shifted), f(shifted))
        + disagree(f_i(shifted), f(x))
        + disagree(f_i(x), f(x))
    ).mean()
    slopes = torch.autograd.grad(expected, (masks.a, masks.s))
    found = add_gradients(networks, masks, batch, shifted, sparsity=0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    for mask, slope in zip((masks.a, masks.s), slopes, strict=True):
        torch.testing.assert_close(mask.grad, slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_search_of_ims_lowers_its_loss_and_leaves_no_gradient_behind(bf16):
    net, networks, masks, batch = amid()
    hyper = InvertibleMasks(inner_lr=0.01, inner_steps=10, bf16_search=bf16)
    shifted = PerturbationSearch(networks, hyper, batch.x.device)(masks, batch)
    inverse = with_folded_gates(net, {"conv": masks.inverse()})

    def loss(images):
        reached = net(images).softmax(1)
        return (
            (agree(inverse(images).softmax(1), reached) + disagree(reached, batch.clean))
            .mean()
            .item()
        )

    assert shifted.dtype == torch.float32
    assert loss(shifted) < 0.9 * loss(batch.x)
    assert masks.a.grad is None
    modules = (networks.victim, networks.reference, networks.gated.model)
    assert not [
        w
        for module in modules
        for w in module.parameters()
        if w.requires_grad or w.grad is not None
    ]


HYPER = InvertibleMasks(
    batch=8, inner_lr=0.02, inner_steps=3, initial_rounds=12, rounds=8, patience=1, improvement=0.99
)


@pytest.mark.parametrize("make", [planted, planted_transformer])
def test_the_networks_of_ims_are_gone_as_soon_as_its_result_is(make):
    net = make()
    sites = convolution_sites(net) if make is planted else block_sites(net)
    with nothing_else_living():
        learn_invertible_masks(copy.deepcopy(net), clean_budget(2), sites, HYPER, cpu_context())
        assert layers() == []
