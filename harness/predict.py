"""Predictions of a model on uint8 images, with or without a trigger."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

CHUNK = 1000
Stamp = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return float32 logits (N, classes) on the CPU for uint8 images (N, C, H, W)."""
    chunks = [
        model((chunk.float() / 255).contiguous(memory_format=torch.channels_last))
        for chunk in images.split(CHUNK)
    ]
    return torch.cat([chunk.float().cpu() for chunk in chunks])


@torch.no_grad()
def stamped(images: torch.Tensor, stamp: Stamp) -> torch.Tensor:
    """Return uint8 images with the trigger, rounded to 8 bit as files would be."""
    return torch.cat([quantised(stamp(chunk.float() / 255)) for chunk in images.split(CHUNK)])


def quantised(images: torch.Tensor) -> torch.Tensor:
    """Return float images in [0, 1] as uint8, clipped and rounded."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)
