"""A user's image files as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image


def read_image(path: Path, shape: torch.Size) -> torch.Tensor:
    """Return an image file as float (C, H, W) in [0, 1], resized (bilinear) to ``shape`` = (C, H, W).

    Raises:
        OSError: not an image.
    """
    channels, height, width = shape
    with Image.open(path) as image:
        fitted = image.convert("L" if channels == 1 else "RGB").resize(
            (width, height), Image.Resampling.BILINEAR
        )
    pixels = torch.from_numpy(np.array(fitted)).float() / 255
    return pixels.view(height, width, channels).permute(2, 0, 1).contiguous()
