"""Networks for inference only, with batch norm as constants that are computed once.

In eval mode a batch norm is a scale and a shift per channel. Where a batch norm alone takes the
output of a convolution, both are folded into that convolution; elsewhere they are two constants.
Outputs stay the same up to rounding.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable

import torch
from torch import nn
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from harness.toolbox.masks.batchnorm import batchnorm_layers

Pairs = dict[str, str]
"""The name of a batch norm that alone takes a convolution's output -> the convolution's name."""


class Affine(nn.Module):
    """A batch norm in eval mode: (N, C, ...) -> x * scale + shift, both (C,)."""

    scale: torch.Tensor
    shift: torch.Tensor
    zero: torch.Tensor
    one: torch.Tensor

    def __init__(self, scale: torch.Tensor, shift: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.register_buffer("zero", torch.zeros_like(scale))
        self.register_buffer("one", torch.ones_like(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x * scale + shift, in the precision of x."""
        # on CUDA one kernel instead of two; a CPU is faster with two, but for sums in bf16
        if x.is_cuda or x.dtype != self.scale.dtype:
            return F.batch_norm(x, self.zero, self.one, self.scale, self.shift, eps=0)
        scale, shift = (
            vector.view(-1, *(1,) * (x.ndim - 2)) for vector in (self.scale, self.shift)
        )
        return (x * scale).add_(shift)


def inference_copy(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy for inference only: eval mode, frozen, batch norm folded.

    Gradients still reach the images. ``images`` are a few examples, (n, C, H, W), see
    ``foldable_pairs``.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    return fold_constants_(copied, foldable_pairs(copied, images))


@torch.no_grad()
def fold_constants_(model: nn.Module, pairs: Pairs) -> nn.Module:
    """Replace every batch norm with running statistics by constants; return the same model.

    From then on the model has its eval mode only. Norms in ``pairs`` are folded into their
    convolutions.
    """
    for name, norm in list(batchnorm_layers(model)):
        if not norm.track_running_stats:
            continue
        replacement: nn.Module = Affine(*_constants(norm))
        if name in pairs:
            _fold_(model.get_submodule(pairs[name]), *_constants(norm))
            replacement = nn.Identity()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, replacement)
    return model


def _constants(norm: _BatchNorm) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift, (channels,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _fold_(layer: nn.Module, scale: torch.Tensor, shift: torch.Tensor) -> None:
    assert isinstance(layer, nn.Conv2d)
    bias = shift if layer.bias is None else layer.bias * scale + shift
    layer.weight = nn.Parameter(layer.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)


def foldable_pairs(model: nn.Module, images: torch.Tensor) -> Pairs:
    """Return which batch norms can be folded into which convolutions.

    A forward pass of a few images (n, C, H, W) shows it; ``model`` is in eval mode.
    """
    convolutions = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    norms = {name for name, norm in batchnorm_layers(model) if norm.track_running_stats}
    producers: dict[Node, str] = {}

    def note_producer(name: str) -> Callable[..., None]:
        return lambda module, inputs, out: producers.update({out.grad_fn: name})

    hooks = [
        model.get_submodule(name).register_forward_hook(note_producer(name))
        for name in (*convolutions, *norms)
    ]
    consumers = _consumers(model(images.detach().clone().requires_grad_()).grad_fn)
    for hook in hooks:
        hook.remove()
    once = {name for name, runs in Counter(producers.values()).items() if runs == 1}
    only_consumer = {
        name: producers.get(consumers[node][0])
        for node, name in producers.items()
        if len(consumers[node]) == 1
    }
    return {
        norm: name
        for name, norm in only_consumer.items()
        if norm in norms & once and name in convolutions & once and norm is not None
    }


def _consumers(last: Node) -> dict[Node, list[Node]]:
    """Return the nodes of an autograd graph that take each node's output."""
    consumers: dict[Node, list[Node]] = defaultdict(list)
    to_visit = [last]
    while to_visit:
        node = to_visit.pop()
        for producer, _ in node.next_functions:
            if producer is not None:
                if producer not in consumers:
                    to_visit.append(producer)
                consumers[producer].append(node)
    return consumers
