"""Masks and noise on the scale and shift of batch norm layers, without changing the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

ScaleMasks = dict[str, torch.Tensor]


def batchnorm_layers(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    """Yield the name of every batch norm layer with scale and shift, and the layer."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.affine:
            yield name, module


def unit_scale_masks(model: nn.Module) -> ScaleMasks:
    """Return a mask of ones per layer, (channels,)."""
    return {name: torch.ones_like(layer.weight) for name, layer in batchnorm_layers(model)}


def forward_with_scales(
    model: nn.Module,
    images: torch.Tensor,
    scale: ScaleMasks,
    shift: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Run the model with every scale gamma times ``scale`` and every shift beta times ``shift``.

    Gradients reach the masks. In training mode the running statistics of ``model`` move as they do
    in any forward pass.
    """
    changed = {}
    for name, layer in batchnorm_layers(model):
        changed[f"{name}.weight"] = layer.weight * scale[name]
        if shift is not None:
            changed[f"{name}.bias"] = layer.bias * shift[name]
    logits: torch.Tensor = functional_call(model, changed, (images,))
    return logits


@torch.no_grad()
def zero_scales_(model: nn.Module, below_or_at: float, masks: ScaleMasks) -> int:
    """Set gamma to zero where the mask is at most a threshold; return how many channels that were."""
    count = 0
    for name, layer in batchnorm_layers(model):
        cut = masks[name] <= below_or_at
        layer.weight[cut] = 0
        count += int(cut.sum())
    return count


def kept_channel_masks(model: nn.Module) -> ScaleMasks:
    """Return which channels a pruned model keeps, as artifacts: ``mask.<layer>``, (channels,) of 0 and 1."""
    return {
        f"mask.{name}": (layer.weight.detach() != 0).float()
        for name, layer in batchnorm_layers(model)
    }


def convolution_batchnorm_pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, _BatchNorm]]:
    """Yield every convolution that a batch norm of as many channels comes next to, in order of definition.

    In pre-activation networks that is the norm of the next block, which also sees the residual
    path.
    """
    before: nn.Module | None = None
    for module in model.modules():
        if not isinstance(module, nn.Conv2d | _BatchNorm):
            continue
        if (
            isinstance(before, nn.Conv2d)
            and isinstance(module, _BatchNorm)
            and module.affine
            and module.num_features == before.out_channels
        ):
            yield before, module
        before = module


@torch.no_grad()
def cut_outliers_(layer: _BatchNorm, values: torch.Tensor, u: float) -> torch.Tensor:
    """Set scale and shift to zero where a value, (channels,), exceeds mean + u standard deviations.

    Return which channels those are, bool (channels,).
    """
    outlying = values > values.mean() + u * values.std()
    layer.weight[outlying] = 0
    layer.bias[outlying] = 0
    return outlying


@contextmanager
def frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are inside the block, in training mode too."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
