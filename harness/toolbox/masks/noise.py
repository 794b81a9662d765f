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
    x, y = batch
    fixed = {name: mask.detach() for name, mask in masks.items()}
    scale, shift = (_uniform_noise(fixed, search.eps, ctx) for _ in range(2))
    largest = search.eps if search.clip else float("inf")
    for _ in range(search.steps):
        noise = [*scale.values(), *shift.values()]
        for tensor in noise:
            tensor.requires_grad_()
        loss = F.cross_entropy(forward_with_noise(net, fixed, x, (scale, shift)), y)
        gradients = torch.autograd.grad(loss, noise)
        with torch.no_grad():
            moved = [
                (tensor + search.eps / search.steps * gradient.sign()).clamp(-largest, largest)
                for tensor, gradient in zip(noise, gradients, strict=True)
            ]
        scale = dict(zip(scale, moved[: len(scale)], strict=True))
        shift = dict(zip(shift, moved[len(scale) :], strict=True))
    return scale, shift


def _uniform_noise(like: ScaleMasks, eps: float, ctx: Context) -> ScaleMasks:
    def draw(mask: torch.Tensor) -> torch.Tensor:
        return ((2 * torch.rand(mask.shape, generator=ctx.generator) - 1) * eps).to(mask.device)

    return {name: draw(mask) for name, mask in like.items()}


def forward_with_noise(
    net: nn.Module, masks: ScaleMasks, images: torch.Tensor, noise: Noise
) -> torch.Tensor:
    """Return logits with scales times ``masks`` + noise, and shifts times 1 + noise."""
    scale, shift = noise
    scales = {name: masks[name] + scale[name] for name in masks}
    shifts = {name: 1 + shift[name] for name in masks}
    return forward_with_scales(net, images, scales, shifts)
