"""Outputs of convolutions on images, and how far a trigger changes them."""

from __future__ import annotations

import torch
from torch import nn

from harness.toolbox.masks.channel_gates import convolutions
from harness.toolbox.predict import as_float

CHUNK = 250
"""Images per forward pass."""


def wide_convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return the convolutions with a kernel larger than 1x1, so that shortcuts are left out."""
    return {name: conv for name, conv in convolutions(model).items() if max(conv.kernel_size) > 1}


@torch.no_grad()
def channel_outputs(
    model: nn.Module, images: torch.Tensor, chosen: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Return some channels of the wide convolutions, float (n, channels x positions) per layer.

    Args:
        model: in eval mode.
        images: (n, C, H, W).
        chosen: for every wide convolution in order, the indices of its channels.
    """
    kept: list[list[torch.Tensor]] = [[] for _ in chosen]

    def keep(layer: int) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, inputs: object, out: torch.Tensor) -> None:
            kept[layer].append(out[:, chosen[layer].to(out.device)].flatten(1).float())

        return layers[layer].register_forward_hook(hook)

    layers = list(wide_convolutions(model).values())
    if len(layers) != len(chosen):
        raise ValueError(f"the model has {len(layers)} wide convolutions, not {len(chosen)}")
    handles = [keep(layer) for layer in range(len(layers))]
    try:
        for chunk in images.split(CHUNK):
            model(as_float(chunk))
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(parts) for parts in kept]


@torch.no_grad()
def activation_changes(
    model: nn.Module, clean: torch.Tensor, triggered: torch.Tensor, *, relative: bool
) -> list[torch.Tensor]:
    """Return the trigger-activated change (TAC) of every channel, (channels,) per wide convolution.

    It is mean_n ||a(x_n) - a(x~_n)||_2 for the outputs a on images x_n and the same images with the
    trigger, x~_n; ``relative``: divided by mean_n ||a(x_n)||_2.
    """
    sums: list[list[torch.Tensor]] = []
    for one, other in zip(clean.split(CHUNK), triggered.split(CHUNK), strict=True):
        before, after = _norms(model, one, other)
        sums.append([torch.stack(pair) for pair in zip(before, after, strict=True)])
    totals = [torch.stack(parts).sum(0) for parts in zip(*sums, strict=True)]
    n = len(clean)
    return [change / norm.clamp_min(1e-12) if relative else change / n for norm, change in totals]


def _norms(
    model: nn.Module, clean: torch.Tensor, triggered: torch.Tensor
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return, per layer, sum_n ||a(x_n)|| and sum_n ||a(x_n) - a(x~_n)|| of every channel."""
    every = [torch.arange(conv.out_channels) for conv in wide_convolutions(model).values()]
    outputs = (channel_outputs(model, images, every) for images in (clean, triggered))
    norms, changes = [], []
    for a, b, channels in zip(*outputs, every, strict=True):
        shape = (len(a), len(channels), -1)
        norms.append(a.view(shape).norm(dim=2).sum(0))
        changes.append((a - b).view(shape).norm(dim=2).sum(0))
    return norms, changes
