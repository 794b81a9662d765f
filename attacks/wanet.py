"""WaNet: a smooth, fixed warp of the whole image; random warps in training keep the label.

Nguyen, Tran, "WaNet - Imperceptible Warping-based Backdoor Attack", arXiv 2102.10369. Threat model:
the attacker trains the model. In every batch a share of the images is warped by the one secret
field and relabelled; ``noise_ratio`` times as many are warped by that field plus fresh noise and
keep their label, so that only the exact field works. Defaults are the paper's: a 4x4 control grid,
strength 0.5. Departures: warped images are rounded to 8 bits in training too, as at test time;
augmentation and learning rate are the recipe's (the authors add rotations of 10 degrees, and keep
the learning rate constant).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from harness.contract import (
    Batch,
    Context,
    Count,
    Goal,
    NonNegative,
    Positive,
    TrainingControl,
    TrainingSet,
    attack,
)
from harness.toolbox import BatchPoisoner, Quota


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The warp, and the number of noise samples per backdoor sample."""

    grid: Count = 4
    """Control points per side."""
    strength: Positive = 0.5
    """The mean displacement is half of it, in pixels: an image side is 2 in grid coordinates."""
    noise_ratio: NonNegative = 2.0


def warp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Resample images (N, C, H, W) at the points of grid (1, H, W, 2), coordinates in [-1, 1]."""
    return _sample(images, state["grid"].expand(len(images), -1, -1, -1))


@attack(
    trigger=warp,
    paper="WaNet - Imperceptible Warping-based Backdoor Attack, arXiv 2102.10369",
    year=2021,
    version=1,
    display_name="WaNet",
    all_to_all=True,
)
def wanet(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> TrainingControl:
    """Warp a share of every batch, and a larger share with noise."""
    height, width = train.images.shape[2:]
    grid = _warping_field((height, width), hyper, ctx).to(ctx.device)
    rate = goal.poison_rate(len(train.labels))
    poisoner = BatchPoisoner(goal, Quota(rate), Quota(hyper.noise_ratio * rate))

    def backdoor(images: torch.Tensor) -> torch.Tensor:
        return _round_to_8_bits(_sample(images, grid.expand(len(images), -1, -1, -1)))

    def noise_cover(images: torch.Tensor) -> torch.Tensor:
        noise = 2 * torch.rand(len(images), height, width, 2, generator=ctx.generator) - 1
        return _round_to_8_bits(
            _sample(images, (grid + noise.to(ctx.device) / height).clamp(-1, 1))
        )

    def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        return poisoner.batch(images, labels, backdoor, noise_cover)

    return TrainingControl(batch, {"grid": grid})


def _warping_field(size: tuple[int, int], hyper: Hyper, ctx: Context) -> torch.Tensor:
    """Return the sampling position of every pixel, identity plus smooth noise: (1, H, W, 2)."""
    control = 2 * torch.rand(1, 2, hyper.grid, hyper.grid, generator=ctx.generator) - 1
    control = control / control.abs().mean()
    smooth = F.interpolate(control, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    rows, columns = (torch.linspace(-1, 1, side) for side in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    identity = torch.stack((x, y), 2)[None]
    return (identity + hyper.strength * smooth / size[0]).clamp(-1, 1)


def _sample(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(images, grid, align_corners=True) if len(images) else images


def _round_to_8_bits(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round() / 255
