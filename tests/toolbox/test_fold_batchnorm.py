"""Networks that are only run: the same outputs and gradients as before, in fewer steps."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.plan.registry import load
from harness.toolbox.masks.fold_batchnorm import fold_constants_, foldable_pairs, inference_copy

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
