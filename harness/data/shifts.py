"""Shifts of images: a clean budget that does not look like the data that the victim saw.

The shifts and their strengths are those of BackdoorBench's extension to shifted clean data: each is
drawn per image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision.transforms import functional as T


def shifted(images: torch.Tensor, shift: str, generator: torch.Generator) -> torch.Tensor:
    """Return float images (n, C, H, W) in [0, 1], shifted; random numbers come from the CPU.

    brightness, contrast: a factor of 0.5 to 1.5; colour: both and saturation, and hue turned by up
    to half a circle; blur: Gaussian, 3x3, sigma 0.1 to 2; rotation: up to 30 degrees; noise:
    Gaussian, of standard deviation 0.1.
    """
    change = _CHANGES[shift]
    changed = [change(image, generator) for image in images]
    return torch.stack(changed).clamp(0, 1) if changed else images


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _brightness(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    changed: torch.Tensor = T.adjust_brightness(image, _uniform(0.5, 1.5, generator))
    return changed


def _contrast(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    changed: torch.Tensor = T.adjust_contrast(image, _uniform(0.5, 1.5, generator))
    return changed


def _colour(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    image = _contrast(_brightness(image, generator), generator)
    image = T.adjust_saturation(image, _uniform(0.5, 1.5, generator))
    changed: torch.Tensor = T.adjust_hue(image, _uniform(-0.5, 0.5, generator))
    return changed


def _blur(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    changed: torch.Tensor = T.gaussian_blur(image, [3, 3], [_uniform(0.1, 2, generator)])
    return changed


def _rotation(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    changed: torch.Tensor = T.rotate(image, _uniform(-30, 30, generator))
    return changed


def _noise(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return image + 0.1 * torch.randn(image.shape, generator=generator).to(image.device)


_CHANGES: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "colour": _colour,
    "blur": _blur,
    "rotation": _rotation,
    "noise": _noise,
}
