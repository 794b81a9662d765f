"""How visible a trigger is: PSNR, SSIM and L-infinity between clean and triggered 8-bit images."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional as F

CHUNK = {"cpu": 100, "cuda": 1000}
"""Images at a time, few enough for a CPU's caches."""
SUM_CHUNK = 1000
"""Values that are summed at a time, in float32; the last bits of PSNR and SSIM depend on it."""
WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of SSIM's Gaussian window, in pixels."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class TriggerVisibility(NamedTuple):
    """How far the triggered images are from their clean copies."""

    psnr: float | None
    """In dB, from the mean squared error over all images; None where no pixel differs."""
    ssim: float
    """Mean over images (Wang et al., IEEE Transactions on Image Processing 13(4), 2004)."""
    linf: float
    """Largest change of a pixel in 8-bit steps, mean over images."""


@torch.no_grad()
def trigger_visibility(clean: torch.Tensor, triggered: torch.Tensor) -> TriggerVisibility:
    """Compare two sets of uint8 images (N, C, H, W)."""
    size = CHUNK.get(clean.device.type, CHUNK["cuda"])
    pairs = zip(clean.split(size), triggered.split(size), strict=True)
    chunks = [_compare(x.float(), y.float()) for x, y in pairs]
    error, similar, largest = (_total(torch.cat(values)) for values in zip(*chunks, strict=True))
    n = len(clean)
    psnr = None if error == 0 else 10 * math.log10(255**2 * n / error)
    return TriggerVisibility(psnr, similar / n, largest / n)


def _compare(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the mean squared error, the SSIM and the largest change of each image."""
    change = (a - b).flatten(1)
    return change.square().mean(1), ssim(a, b), change.abs().amax(1)


def _total(values: torch.Tensor) -> float:
    return sum(float(chunk.sum()) for chunk in values.split(SUM_CHUNK))


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the SSIM (N,) of float images (N, C, H, W) on the scale 0 to 255, channels averaged.

    An 11x11 Gaussian window with sigma 1.5, at every position where it fits; on smaller images the
    largest odd window that fits.
    """
    window = _gaussian(min(WINDOW, *(side - (side + 1) % 2 for side in a.shape[2:])), a)
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    variance_a = _blur(a * a, window) - mean_a**2
    variance_b = _blur(b * b, window) - mean_b**2
    covariance = _blur(a * b, window) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminance * structure).mean((1, 2, 3))


def _gaussian(size: int, like: torch.Tensor) -> torch.Tensor:
    distance = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    weights = torch.exp(-(distance**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _blur(x: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    flat = x.flatten(0, 1)[:, None]
    rows = F.conv2d(flat, window.view(1, 1, -1, 1))
    return F.conv2d(rows, window.view(1, 1, 1, -1)).view(*x.shape[:2], *_inner_size(x, len(window)))


def _inner_size(x: torch.Tensor, size: int) -> tuple[int, int]:
    return x.shape[2] - size + 1, x.shape[3] - size + 1
