"""Batched augmentation on the device, with a random crop and flip per sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """Random crop after zero padding, random mirroring, and Cutout. All are off by default."""

    crop: int = 0
    """Padding in pixels on each side."""
    flip: bool = False
    cutout: int = 0
    """Side in pixels of one black square per image. Its centre is uniform over the image, and what
    lies outside is lost (DeVries, Taylor, arXiv 1708.04552)."""

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return images (N, C, H, W) of any dtype, augmented; random numbers come from the CPU."""
        n, device = len(images), images.device
        if self.crop:
            shifts = torch.randint(2 * self.crop + 1, (2, n), generator=generator).to(device)
            images = _crop(F.pad(images, (self.crop,) * 4), shifts, images.shape[2:])
        if self.flip:
            mirrored = torch.rand(n, generator=generator).to(device) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.cutout:
            height, width = images.shape[2:]
            rows = torch.randint(height, (n,), generator=generator).to(device)
            columns = torch.randint(width, (n,), generator=generator).to(device)
            images = _cut_out(images, rows, columns, self.cutout)
        return images


def _crop(padded: torch.Tensor, shifts: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Cut a window of ``size`` (H, W) out of each image, at the (row, column) of its shift."""
    height, width = size
    device = padded.device
    rows = shifts[0][:, None] + torch.arange(height, device=device)
    columns = shifts[1][:, None] + torch.arange(width, device=device)
    samples = torch.arange(len(padded), device=device)[:, None, None]
    return padded[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cut_out(
    images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, side: int
) -> torch.Tensor:
    """Blacken a square in each image, around its centre; an even one begins side / 2 before it."""

    def inside(centres: torch.Tensor, size: int) -> torch.Tensor:
        offsets = torch.arange(size, device=centres.device) - (centres[:, None] - side // 2)
        return (offsets >= 0) & (offsets < side)

    height, width = images.shape[2:]
    hole = inside(rows, height)[:, :, None] & inside(columns, width)[:, None, :]
    return images.masked_fill(hole[:, None], 0)
