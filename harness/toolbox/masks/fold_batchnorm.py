"""Networks that are only run: batch norm as constants, computed once.

In eval mode a batch norm is a scale and a shift per channel. Where nothing else takes a
convolution's output, both go into that convolution; elsewhere they are two constants. Outputs stay
the same up to rounding.
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
"""A batch norm that alone takes a convolution's output, and that convolution, by their names."""


class Affine(nn.Module):
    """A batch norm in eval mode: (N, C, ...) -> the same, times a scale and plus a shift per channel."""

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
        if (
            x.dtype != self.scale.dtype
        ):  # in bf16 a CPU adds a shift per channel ten times more slowly
            return F.batch_norm(x, self.zero, self.one, self.scale, self.shift, eps=0)
        scale, shift = (
            constant.view(-1, *(1,) * (x.ndim - 2)) for constant in (self.scale, self.shift)
        )
        return (x * scale).add_(shift)


def inference_copy(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy in eval mode without gradients of its own, only to be run; images as for ``foldable``."""
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    return fold_constants_(copied, foldable(copied, images))


@torch.no_grad()
def fold_constants_(model: nn.Module, pairs: Pairs) -> nn.Module:
    """Put constants in place of every batch norm with running statistics, and return the model.

    It is changed: it stands for its eval mode alone. Norms in ``pairs`` fold into their
    convolutions.
    """
    for name, norm in list(batchnorm_layers(model)):
        if not norm.track_running_stats:
            continue
        put: nn.Module = Affine(*_constants(norm))
        if name in pairs:
            _fold(model.get_submodule(pairs[name]), *_constants(norm))
            put = nn.Identity()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, put)
    return model


def _constants(norm: _BatchNorm) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift, (channels,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _fold(layer: nn.Module, scale: torch.Tensor, shift: torch.Tensor) -> None:
    assert isinstance(layer, nn.Conv2d)
    bias = shift if layer.bias is None else layer.bias * scale + shift
    layer.weight = nn.Parameter(layer.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)


def foldable(model: nn.Module, images: torch.Tensor) -> Pairs:
    """Return the pairs of a model, as a pass of a few images (n, C, H, W) in eval mode shows them."""
    convolutions = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    behind = {name for name, norm in batchnorm_layers(model) if norm.track_running_stats}
    made: dict[Node, str] = {}

    def noted(name: str) -> Callable[..., None]:
        return lambda module, inputs, out: made.update({out.grad_fn: name})

    hooks = [
        model.get_submodule(name).register_forward_hook(noted(name))
        for name in (*convolutions, *behind)
    ]
    takers = _takers(model(images.detach().clone().requires_grad_()).grad_fn)
    for hook in hooks:
        hook.remove()
    once = {name for name, runs in Counter(made.values()).items() if runs == 1}
    lone = {
        name: made.get(takers[node][0]) for node, name in made.items() if len(takers[node]) == 1
    }
    return {
        norm: name
        for name, norm in lone.items()
        if norm in behind & once and name in convolutions & once and norm is not None
    }


def _takers(last: Node) -> dict[Node, list[Node]]:
    """Return which nodes of an autograd graph take each node's output."""
    takers: dict[Node, list[Node]] = defaultdict(list)
    open_ = [last]
    while open_:
        node = open_.pop()
        for below, _ in node.next_functions:
            if below is not None:
                if below not in takers:
                    open_.append(below)
                takers[below].append(node)
    return takers
