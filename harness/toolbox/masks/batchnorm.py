"""Masks and noise on the scale and shift of batch norm layers, without changing the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import BatchNormMode

ScaleMasks = dict[str, torch.Tensor]
"""A factor per channel, (channels,), for every batch norm layer by its name."""


def batchnorm_layers(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    """Yield the name of every batch norm layer with scale and shift, and the layer."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.affine:
            yield name, module


def unit_scale_masks(model: nn.Module) -> ScaleMasks:
    """Return masks of ones, which change nothing."""
    return {name: torch.ones_like(layer.weight) for name, layer in batchnorm_layers(model)}


def forward_with_scales(
    model: nn.Module,
    images: torch.Tensor,
    scale: ScaleMasks,
    shift: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return logits of the model with its scales times ``scale`` and its shifts times ``shift``.

    Gradients reach the masks. In training mode the running statistics of ``model`` move as they do
    in any forward pass.
    """
    parameters = {}
    for name, layer in batchnorm_layers(model):
        parameters[f"{name}.weight"] = layer.weight * scale[name]
        if shift is not None:
            parameters[f"{name}.bias"] = layer.bias * shift[name]
    logits: torch.Tensor = functional_call(model, parameters, (images,))
    return logits


@torch.no_grad()
def fold_scales_(model: nn.Module, masks: ScaleMasks) -> nn.Module:
    """Multiply the scales by masks, for good, and return the same model."""
    for name, layer in batchnorm_layers(model):
        layer.weight.mul_(masks[name])
    return model


@torch.no_grad()
def zero_scales_(model: nn.Module, threshold: float, masks: ScaleMasks) -> int:
    """Set scales to zero where the mask is at most a threshold; return the number of channels."""
    cuts = []
    for name, layer in batchnorm_layers(model):
        cuts.append(masks[name] <= threshold)
        layer.weight[cuts[-1]] = 0
    return int(torch.cat(cuts).sum()) if cuts else 0


@torch.no_grad()
def zero_smallest_scales_(model: nn.Module, share: float, masks: ScaleMasks) -> int:
    """Set a share of all scales to zero, at least one: those with the smallest masks.

    Returns:
        the number of channels.
    """
    values = torch.cat([masks[name] for name, _ in batchnorm_layers(model)])
    count = max(1, int(share * len(values)))
    cut = torch.zeros_like(values, dtype=torch.bool)
    cut[values.argsort(stable=True)[:count]] = True
    start = 0
    for _, layer in batchnorm_layers(model):
        layer.weight[cut[start : start + layer.num_features]] = 0
        start += layer.num_features
    return count


def kept_channel_masks(model: nn.Module) -> ScaleMasks:
    """Return the channels that a pruned model keeps: ``mask.<layer>``, (channels,) of 0 and 1."""
    return {
        f"mask.{name}": (layer.weight.detach() != 0).float()
        for name, layer in batchnorm_layers(model)
    }


def convolution_batchnorm_pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, _BatchNorm]]:
    """Yield every convolution that is followed by a batch norm of as many channels.

    "Followed" is in order of definition.

    In pre-activation networks that is the norm of the next block,
    which also sees the residual path.
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
def cut_outliers_(
    layer: _BatchNorm, values: torch.Tensor, u: float, *, keep_shift: bool = False
) -> torch.Tensor:
    """Set scale and shift to zero where a value, (channels,), exceeds mean + u standard deviations.

    With ``keep_shift`` the scale alone.

    Returns:
        which channels those are, bool (channels,).
    """
    outlying = values > values.mean() + u * values.std()
    layer.weight[outlying] = 0
    if not keep_shift:
        layer.bias[outlying] = 0
    return outlying


def train_mode_(model: nn.Module, batchnorm: BatchNormMode) -> nn.Module:
    """Put a model into training mode, its batch norms into the given one; return the same model."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train(batchnorm == "train")
    return model


@contextmanager
def frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Inside the block, no running statistics change, in training mode either."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
