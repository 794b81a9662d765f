"""A U-Net from images to images (Ronneberger et al., arXiv 1505.04597)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


class Level(nn.Sequential):
    """Two 3x3 convolutions, each with instance norm and leaky ReLU: (N, C_in, H, W) -> C_out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.InstanceNorm2d(outputs, affine=True),
            nn.LeakyReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.InstanceNorm2d(outputs, affine=True),
            nn.LeakyReLU(),
        )


class UNet(nn.Module):
    """(N, channels, H, W) -> the same, unbounded.

    Each of ``levels`` levels halves the image and doubles the channels from ``width`` on; on the
    way up a transposed convolution doubles the image, which is joined to that of the way down.
    """

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            Level(before, after)
            for before, after in zip([channels, *widths], widths[:-1], strict=False)
        )
        self.middle = Level(*pairs[-1])
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(wide, wide, 3, 2, 1) for _, wide in reversed(pairs)
        )
        self.up = nn.ModuleList(Level(wide + narrow, narrow) for narrow, wide in reversed(pairs))
        self.last = nn.Conv2d(width, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the generated images."""
        sides = []
        for level in self.down:
            x = level(x)
            sides.append(x)
            x = F.max_pool2d(x, 2, ceil_mode=True)
        x = self.middle(x)
        for enlarge, level, side in zip(self.enlarge, self.up, reversed(sides), strict=True):
            larger = F.leaky_relu(enlarge(x, output_size=side.shape[2:]))
            x = level(torch.cat([larger, side], 1))
        images: torch.Tensor = self.last(x)
        return images


def unet_levels(side: int, largest: int) -> int:
    """Return how many times images of ``side`` pixels can be halved down to maps of 2x2 or more."""
    return max(1, min(largest, side.bit_length() - 2))
