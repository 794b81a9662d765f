"""What would be slow, large or different on a GPU, seen on the pretended one."""

import weakref
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from harness.plan.registry import load
from harness.toolbox.grad_prune import filter_scores
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    VictimBatch,
    _inverse_losses,
    _masked_losses,
    add_gradients,
)
from harness.toolbox.masks.channel_gates import convolution_sites
from harness.toolbox.predict import as_float
from harness.training.device import select_device, set_up_torch
from harness.training.victim import VictimRefusedError, verify
from tests.helpers.gpu_victims import context
from tests.helpers.planted_models import clean_budget, small_resnet
from tests.helpers.pretended_gpu import PretendedGpu, is_on_gpu


def test_clp_takes_singular_values_on_the_cpu(monkeypatch):
    seen, svdvals = [], torch.linalg.svdvals

    def noted(matrices):
        seen.append(is_on_gpu(matrices))
        return svdvals(matrices)

    monkeypatch.setattr(torch.linalg, "svdvals", noted)
    method = load("defense", "clp")
    with PretendedGpu():
        method.function(small_resnet().to("cuda"), clean_budget(2), method.hyper(), context())
    assert set(seen) == {False}


class Kept:
    """A tensor that is kept for the backward pass."""

    def __init__(self, tensor):
        self.tensor = tensor


def most_kept(work):
    """Return the most tensors that work keeps for a backward pass at any time."""
    most, living = 0, weakref.WeakSet()

    def keep(tensor):
        nonlocal most
        kept = Kept(tensor)
        living.add(kept)
        most = max(most, len(living))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        work()
    return most


def test_gradient_pruning_keeps_one_batch_in_memory_at_a_time():
    budget = clean_budget(4, triggers=True)
    few = budget.subset(torch.arange(4))
    assert len(budget) > len(few)
    kept = (most_kept(partial(filter_scores, small_resnet(), x, 4)) for x in (budget, few))
    assert len(set(kept)) == 1


def test_ims_keeps_one_of_its_two_networks_in_memory_at_a_time():
    net, images = small_resnet(), clean_budget(2).images
    networks = Networks(net, convolution_sites(net), images)
    a, s = (torch.ones(networks.sites.count(), requires_grad=True) for _ in range(2))
    masks, batch = MaskPair(a, s, 20), VictimBatch(images, net(images).softmax(1))
    given = (networks, masks, batch, images)
    whole = most_kept(partial(add_gradients, *given, sparsity=1.0))
    each = [most_kept(partial(part, *given)) for part in (_masked_losses, _inverse_losses)]
    assert max(each) <= whole < 1.1 * max(each) < sum(each)


def test_gradient_pruning_adds_the_gradients_of_its_batches():
    net, budget = small_resnet(), clean_budget(4, triggers=True)
    weight = net.conv1.weight
    batches = zip(budget.triggered.split(3), budget.labels.split(3), strict=True)
    loss = sum(F.cross_entropy(net(x), y) for x, y in batches)
    (gradient,) = torch.autograd.grad(loss, weight)
    found = filter_scores(net, budget, 3)["conv1"]
    torch.testing.assert_close(found, gradient.abs().mean((1, 2, 3)))


def test_the_pooling_of_ssba_is_the_adaptive_one_and_its_gradient_repeats():
    pool = load("attack", "ssba").function.__globals__["PoolTo4x4"]()
    for side, repeats in ((8, True), (16, True), (7, False)):
        x = torch.rand(2, 3, side, side, requires_grad=True)
        assert torch.equal(pool(x), F.adaptive_avg_pool2d(x, 4))
        assert ("Adaptive" not in type(pool(x).grad_fn).__name__) is repeats


def test_a_worker_asks_torch_for_deterministic_kernels():
    set_up_torch(1)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_attention_on_cuda_takes_no_kernel_whose_gradients_differ_from_run_to_run(name):
    switches = torch.backends.cuda
    fused = [getattr(switches, f"{x}_sdp_enabled") for x in ("flash", "mem_efficient", "cudnn")]
    select_device("cpu")
    before = [enabled() for enabled in fused]
    assert before[0], "a CPU has its own"
    with PretendedGpu():
        select_device(name)
        assert not any(enabled() for enabled in fused)
        assert switches.math_sdp_enabled()
    assert [enabled() for enabled in fused] == before


class DividesAsCuda(TorchDispatchMode):
    """Divides by a number as CUDA does: by a product with its reciprocal, which rounds twice."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.div_ and not isinstance(args[1], torch.Tensor):
            return args[0].mul_(torch.tensor(1.0) / args[1])
        return func(*args, **(kwargs or {}))


def test_grey_levels_on_cuda_are_those_of_a_cpu():
    levels = torch.arange(256, dtype=torch.uint8)
    with DividesAsCuda():
        found = as_float(levels)
        assert not torch.equal(levels.float().div_(255), found), "the mode divides as a CPU does"
    assert torch.equal(found, as_float(levels))


def test_one_image_of_thousands_may_be_rounded_to_another_class():
    expected = np.zeros(2000, dtype=np.uint16)
    logits = torch.tensor([[1.0, 0.0]]).repeat(2000, 1)

    def check(differing):
        now = logits.clone()
        now[:differing] = torch.tensor([0.0, 1.0])
        verify(
            SimpleNamespace(before=SimpleNamespace(clean=now, triggered=logits)),
            {"clean": expected, "triggered": expected},
        )

    check(2)
    with pytest.raises(VictimRefusedError, match="predicts 3 of 2000 clean images otherwise"):
        check(3)
