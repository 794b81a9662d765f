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
        drawn = self.draw(len(images), images.shape[2:], generator)
        return self.apply(images, drawn.to(images.device))

    def draw(self, n: int, size: torch.Size, generator: torch.Generator) -> torch.Tensor:
        """Return what is random about the augmentation of n images of ``size`` (H, W).

        Returns:
            int64 (draws, n): the shift's row and column, 1 where the image is mirrored, the row
            and the column of the square, as far as each is on.
        """
        height, width = size
        rows: list[torch.Tensor] = []
        if self.crop:
            rows += torch.randint(2 * self.crop + 1, (2, n), generator=generator)
        if self.flip:
            rows += [(torch.rand(n, generator=generator) < 0.5).long()]
        if self.cutout:
            rows += [torch.randint(side, (n,), generator=generator) for side in (height, width)]
        return torch.stack(rows) if rows else torch.empty(0, n, dtype=torch.int64)

    def apply(self, images: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Return images (N, C, H, W), augmented as was drawn, on the images' device."""
        rows = iter(drawn)
        if self.crop:
            padded = F.pad(images, (self.crop,) * 4)
            images = _crop(padded, next(rows), next(rows), images.shape[2:])
        if self.flip:
            mirrored = next(rows).bool()
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.cutout:
            images = _cut_out(images, next(rows), next(rows), self.cutout)
        return images


def _crop(
    padded: torch.Tensor, down: torch.Tensor, right: torch.Tensor, size: torch.Size
) -> torch.Tensor:
    """Cut a window of ``size`` (H, W) out of each image, as far down and right as given, (N,)."""
    height, width = size
    device = padded.device
    rows = down[:, None] + torch.arange(height, device=device)
    columns = right[:, None] + torch.arange(width, device=device)
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
