"""Predictions of a model on uint8 images, with or without a trigger."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

CHUNK = {"cpu": 128, "cuda": 1000}
"""Images at a time: on a CPU so few that what layers pass on stays in its caches. No result moves
by it."""
TriggerFunction = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def predict_logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return float32 logits (N, classes) on the CPU for uint8 images (N, C, H, W)."""
    chunks = [
        model(chunk.contiguous(memory_format=torch.channels_last)) for chunk in _chunks(images)
    ]
    return torch.cat([chunk.float() for chunk in chunks]).cpu()


@torch.no_grad()
def apply_trigger(images: torch.Tensor, stamp: TriggerFunction) -> torch.Tensor:
    """Return uint8 images with the trigger, rounded to 8 bit as files would be.

    Raises:
        ValueError: the trigger returns another shape than it was given.
    """
    marked = torch.empty_like(images)
    for place, chunk in zip(_split(marked), _chunks(images), strict=True):
        triggered = stamp(chunk)
        if triggered.shape != chunk.shape:
            raise ValueError(
                f"the trigger makes {tuple(triggered.shape)} of images {tuple(chunk.shape)}"
            )
        place.copy_(_levels(triggered))
    return marked


def _chunks(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield uint8 images as float in [0, 1], some at a time."""
    return (chunk.float().div_(255) for chunk in _split(images))


def _split(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(images, CHUNK.get(images.device.type, CHUNK["cuda"]))


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Return float images in [0, 1] as uint8, clipped and rounded."""
    return _levels(images).to(torch.uint8)


def _levels(images: torch.Tensor) -> torch.Tensor:
    """Return levels as int16: torch casts floats to it by vectors, to uint8 one by one."""
    return images.clamp(0, 1).mul_(255).round_().to(torch.int16)
