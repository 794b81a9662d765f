"""Image files of the user as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.data.image_formats import open_image


def read_image(path: Path, shape: torch.Size) -> torch.Tensor:
    """Return an image file as float ``shape`` = (C, H, W) in [0, 1], resized bilinearly.

    Raises:
        OSError: not an image.
    """
    channels, height, width = shape
    with open_image(path) as image:
        converted = image.convert("L" if channels == 1 else "RGB")
        return _as_float(converted.resize((width, height), Image.Resampling.BILINEAR), channels)


def read_pixels(path: Path, channels: int) -> torch.Tensor:
    """Return an image file in its own size as float (C, H, W) in [0, 1].

    Raises:
        OSError: not an image.
    """
    with open_image(path) as image:
        return _as_float(image.convert("L" if channels == 1 else "RGB"), channels)


def _as_float(image: Image.Image, channels: int) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image)).float() / 255
    return pixels.view(image.height, image.width, channels).permute(2, 0, 1).contiguous()


def image_or_noise(path: Path | None, shape: torch.Size, seed: int) -> torch.Tensor:
    """Return an image file as ``read_image`` does, or uniform noise from a seed: (C, H, W)."""
    if path is not None:
        return read_image(path, shape)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def read_array(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the images in a .npy file as float (..., C, H, W) in [0, 1].

    The file holds values 0 to 255, (..., H, W, C).

    Raises:
        ValueError: the shape is not ``shape``, which is (..., C, H, W); or pickled objects.
    """
    pixels = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32)) / 255
    images = pixels.movedim(-1, -3)
    if tuple(images.shape) != tuple(shape):
        raise ValueError(
            f"{path}: an array of shape {(*shape[:-3], *shape[-2:], shape[-3])} is needed"
        )
    return images.contiguous()
