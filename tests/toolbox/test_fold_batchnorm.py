"""Networks that are only run: the same outputs and gradients as before, in fewer steps."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import Context, InvertibleMasks
from harness.plan.registry import load
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    ProblemBatch,
    agree,
    disagree,
    outer_losses,
    search_perturbations,
)
from harness.toolbox.ims.solver import learn_invertible_masks
from harness.toolbox.masks.channel_gates import block_sites, convolution_sites, with_folded_gates
from harness.toolbox.masks.fold_batchnorm import fold_constants_, foldable_pairs, inference_copy
from tests.helpers.planted_models import clean_budget, pictures, planted, planted_transformer

SMALL = {
    "preactresnet18": {"width": 2},
    "resnet18": {"width": 2},
    "vgg19_bn": {"width": 0.05},
    "mobilenet_v3_large": {"width": 0.25},
    "wrn_16_1": {},
}


def seen(name):
    """Return a network in eval mode with statistics and scales of its own."""
    method = load("model", name)
    torch.manual_seed(0)
    net = method.function(3, 10, method.hyper(**SMALL[name]))
    for norm in (x for x in net.modules() if isinstance(x, _BatchNorm)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.1, 2)
    return net.eval()


@pytest.mark.parametrize("name", SMALL)
def test_a_frozen_network_gives_the_same_outputs_and_gradients(name):
    net = seen(name)
    before = copy.deepcopy(net.state_dict())
    running = inference_copy(net, torch.rand(1, 3, 32, 32))
    images = torch.rand(3, 3, 32, 32, requires_grad=True)
    expected, found = net(images), running(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    slopes = [torch.autograd.grad(out.square().sum(), images)[0] for out in (expected, found)]
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-3, atol=1e-4)
    assert not [x for x in running.modules() if isinstance(x, _BatchNorm)]
    assert not [x for x in running.parameters() if x.requires_grad]
    assert all(torch.equal(before[key], x) for key, x in net.state_dict().items())


def test_a_norm_folds_only_into_a_convolution_that_nothing_else_listens_to():
    pairs = foldable_pairs(seen("preactresnet18"), torch.rand(1, 3, 32, 32))
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert pairs == {f"{block}.bn2": f"{block}.conv1" for block in blocks}


def test_a_layer_that_runs_twice_is_not_folded():
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    shared = nn.Sequential(
        conv, norm, nn.ReLU(), conv, nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2)
    )
    images = torch.rand(2, 3, 2, 2)
    assert foldable_pairs(shared.eval(), images) == {}
    nn.init.uniform_(norm.running_mean)
    torch.testing.assert_close(inference_copy(shared, images)(images), shared(images))


def test_constants_are_the_same_in_bf16_up_to_its_rounding():
    net = seen("preactresnet18")
    running, x = fold_constants_(copy.deepcopy(net), {}).layer2[0].bn1, torch.randn(4, 2, 8, 8)
    (gradient,) = torch.autograd.grad(running(leaf := x.bfloat16().requires_grad_()).sum(), leaf)
    torch.testing.assert_close(running(x), net.layer2[0].bn1(x))
    torch.testing.assert_close(running(x.bfloat16()).float(), running(x), rtol=2e-2, atol=2e-2)
    expected = running.scale.view(-1, 1, 1).expand_as(x)
    torch.testing.assert_close(gradient.float(), expected, rtol=1e-2, atol=0)


def test_a_norm_that_knows_no_statistics_stays():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert isinstance(fold_constants_(net, {})[1], nn.BatchNorm2d)


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
        ProblemBatch(images, net(images).softmax(1).detach(), [len(images)]),
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
    found = outer_losses(networks, [masks], batch, shifted).sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    slopes = (torch.autograd.grad(x, (masks.a, masks.s)) for x in (expected, found))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_search_of_ims_lowers_its_loss_and_leaves_no_gradient_behind(bf16):
    net, networks, masks, batch = amid()
    hyper = InvertibleMasks(inner_lr=0.01, inner_steps=10, bf16_search=bf16)
    shifted = search_perturbations(networks, [masks], batch, hyper)
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
    batch=8,
    sparsity=0.5,
    inner_lr=0.02,
    inner_steps=3,
    initial_rounds=12,
    rounds=8,
    patience=1,
    improvement=0.99,
)


def solved(net, sites, chosen):
    """Solve problems of so many images per class with a seed each; return the masks and the logs."""
    contexts = [
        Context(torch.device("cpu"), torch.Generator().manual_seed(seed)) for _, seed in chosen
    ]
    budgets = [clean_budget(spc) for spc, _ in chosen]
    found = learn_invertible_masks(copy.deepcopy(net), budgets, sites, HYPER, contexts)
    return [x.artifacts for x in found], [ctx.scalars for ctx in contexts], found


@pytest.mark.parametrize("make", [planted, planted_transformer])
def test_a_cohort_finds_the_gates_of_solo_runs(make):
    net = make()
    sites = convolution_sites(net) if make is planted else block_sites(net)
    chosen = [(1, 0), (3, 0), (3, 1)]
    together, logs, found = solved(net, sites, chosen)
    assert len({len(log) for log in logs}) == len(chosen), "each has its own draws and its own end"
    images, _ = pictures(5, seed=4)
    for place, one in enumerate(chosen):
        (alone,), (log,), (solo,) = solved(net, sites, [one])
        assert len(log) == len(logs[place])
        assert log[-1]["loss"] == pytest.approx(logs[place][-1]["loss"], rel=1e-3)
        for name, gates in alone.items():
            if not name.startswith("histogram"):
                torch.testing.assert_close(together[place][name], gates, rtol=0, atol=1e-5)
        assert together[place].keys() == alone.keys()
        torch.testing.assert_close(
            found[place].model(images), solo.model(images), rtol=0, atol=1e-4
        )
