"""Adversarial noise on the scale and shift of batch norm (ANP, arXiv 2110.14430)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Context
from harness.toolbox.masks.batchnorm import ScaleMasks, forward_with_scales

Noise = tuple[ScaleMasks, ScaleMasks]
"""Relative changes of all scales, and of all shifts."""


@dataclass(frozen=True)
class NoiseSearch:
    """Sign-gradient ascent from a random start within ``eps``."""

    eps: float
    """Largest relative change of a scale or a shift at the start."""
    steps: int = 1
    """Steps of size ``eps / steps``."""
    clip: bool = True
    """Whether a step ends within ``eps``; if not, the noise may reach 2 ``eps``."""


def worst_noise(
    net: nn.Module,
    masks: ScaleMasks,
    batch: tuple[torch.Tensor, torch.Tensor],
    search: NoiseSearch,
    ctx: Context,
) -> Noise:
    """Return noise that raises the cross-entropy of images (n, C, H, W) with labels (n,).

    The scales of ``net`` are those under ``masks``; neither gets a gradient.
    """
    return worsen_noise(net, masks, batch, search, random_noise(masks, search.eps, ctx))


def random_noise(masks: ScaleMasks, eps: float, ctx: Context) -> torch.Tensor:
    """Return uniform noise within ``eps`` on all scales and then on all shifts, (2 * channels,)."""
    sizes = [mask.shape for mask in masks.values()] * 2
    drawn = torch.cat([torch.rand(size, generator=ctx.generator) for size in sizes])
    return ((2 * drawn - 1) * eps).to(ctx.device)


def worsen_noise(
    net: nn.Module,
    masks: ScaleMasks,
    batch: tuple[torch.Tensor, torch.Tensor],
    search: NoiseSearch,
    start: torch.Tensor,
) -> Noise:
    """Return what the steps of the search make of the noise ``start``, (2 * channels,)."""
    x, y = batch
    fixed = {name: mask.detach() for name, mask in masks.items()}
    largest = search.eps if search.clip else float("inf")
    noise = start.detach()
    for _ in range(search.steps):
        noise.requires_grad_()
        loss = F.cross_entropy(forward_with_noise(net, fixed, x, _by_layer(noise, masks)), y)
        (gradient,) = torch.autograd.grad(loss, noise)
        with torch.no_grad():
            moved = noise + search.eps / search.steps * gradient.sign()
            noise = moved.clamp(-largest, largest)
    return _by_layer(noise, masks)


def _by_layer(noise: torch.Tensor, masks: ScaleMasks) -> Noise:
    sizes = [len(mask) for mask in masks.values()]
    scale, shift = (dict(zip(masks, x.split(sizes), strict=True)) for x in noise.chunk(2))
    return scale, shift


def forward_with_noise(
    net: nn.Module, masks: ScaleMasks, images: torch.Tensor, noise: Noise
) -> torch.Tensor:
    """Return logits with scales times ``masks`` + noise, and shifts times 1 + noise."""
    scale, shift = noise
    scales = {name: masks[name] + scale[name] for name in masks}
    shifts = {name: 1 + shift[name] for name in masks}
    return forward_with_scales(net, images, scales, shifts)
