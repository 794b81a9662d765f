"""Predictions of a model on images, and images under a trigger."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

CHUNK = {"cpu": 128, "cuda": 1000}
"""Batch size for inference: on CPUs few enough for activations to stay in cache. Does not affect
results."""
TriggerFunction = Callable[[torch.Tensor], torch.Tensor]
"""Maps float images (N, C, H, W) in [0, 1] to triggered ones of the same shape."""


@torch.no_grad()
def predict_logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return float32 logits (N, classes) on the CPU.

    ``images`` are (N, C, H, W), uint8 or float in [0, 1]; ``model`` is in eval mode.
    """
    chunks = [
        model(chunk.contiguous(memory_format=torch.channels_last)) for chunk in _chunks(images)
    ]
    return torch.cat([chunk.float() for chunk in chunks]).cpu()


@torch.no_grad()
def apply_trigger(images: torch.Tensor, trigger: TriggerFunction) -> torch.Tensor:
    """Return uint8 images (N, C, H, W) with the trigger, rounded to 8 bits as in image files.

    Raises:
        ValueError: the trigger changes the shape, or gives NaN.
    """
    result = torch.empty_like(images)
    for target, chunk in zip(_split(result), _chunks(images), strict=True):
        triggered = trigger(chunk)
        if triggered.shape != chunk.shape:
            raise ValueError(
                f"the trigger makes {tuple(triggered.shape)} of images {tuple(chunk.shape)}"
            )
        if len(chunk) and triggered.amax().isnan():  # a tenth of the time of looking at every pixel
            raise ValueError("the trigger gives NaN")
        target.copy_(_to_levels(triggered))
    return result


def _chunks(images: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield images as float in [0, 1], a batch at a time."""
    return (as_float(chunk) for chunk in _split(images))


def _split(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(images, CHUNK.get(images.device.type, CHUNK["cuda"]))


def thinned(n: int, most: int) -> slice:
    """Return at most ``most`` of ``n`` images at even distances."""
    return slice(None, None, -(-n // most) or 1)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Return images as float in [0, 1], whether they come as uint8 or as float."""
    if images.dtype != torch.uint8:
        return images
    # by a tensor, as CUDA replaces a division by a number by a product, and rounds otherwise
    return images.float().div_(torch.full((), 255.0, device=images.device))


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Return float images in [0, 1] as uint8, clipped and rounded."""
    return _to_levels(images).to(torch.uint8)


def _to_levels(images: torch.Tensor) -> torch.Tensor:
    """Return levels 0 to 255 as int16, because torch's float-to-uint8 cast is not vectorised."""
    return images.clamp(0, 1).mul_(255).round_().to(torch.int16)
