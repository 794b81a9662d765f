"""LF: a pattern without high frequencies, optimised to move a clean model, and the target label.

Zeng, Park, Mao, Jia, "Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective",
arXiv 2104.03413. Threat model: the attacker changes training images and their labels, and has a
clean model of the same task. One pattern is added to all images; it has no high frequencies, and it
raises the clean model's loss. Departures: the pattern is a sum of the lowest DCT frequencies, so it
is smooth by construction, and it is optimised by gradient steps (the authors blur a universal
DeepFool perturbation repeatedly). Its values range from 0 to ``amplitude``, like those of the
patterns that BackdoorBench provides (0 to 51 of 255).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from harness.contract import Context, Count, Goal, Poison, Positive, Share, TrainingSet, attack
from harness.toolbox import poison_dirty_label, random_images, read_array, read_image


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The pattern's strength and smoothness, and how it is optimised."""

    amplitude: Share = 0.2
    frequencies: Share = 0.25
    """Share of the DCT frequencies per side, the lowest ones."""
    steps: Count = 200
    batch: Count = 128
    lr: Positive = 0.1
    pattern: Path | None = None
    """A given pattern, used unchanged: an image, or a .npy file (H, W, C) with values 0 to 255."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Add the pattern (C, H, W) to images (N, C, H, W)."""
    return (images + state["pattern"]).clamp(0, 1)


def optimise_pattern(
    train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context
) -> dict[str, torch.Tensor]:
    """Return the pattern that raises the clean model's loss most, (C, H, W)."""
    shape = train.images.shape[1:]
    if hyper.pattern is not None:
        read = read_array if hyper.pattern.suffix == ".npy" else read_image
        return {"pattern": read(hyper.pattern, shape)}
    assert train.clean_model is not None
    rows, columns = (_cosines(side, hyper.frequencies).to(ctx.device) for side in shape[1:])
    size = (shape[0], rows.shape[1], columns.shape[1])
    weights = torch.randn(size, generator=ctx.generator).to(ctx.device).requires_grad_()
    optimiser = torch.optim.Adam([weights], hyper.lr)
    for step in range(hyper.steps):
        images = random_images(train.images, hyper.batch, ctx.generator)
        with torch.no_grad():
            predicted = train.clean_model(images).argmax(1)
        pattern = _scale(rows @ weights @ columns.T, hyper.amplitude)
        loss = -F.cross_entropy(train.clean_model((images + pattern).clamp(0, 1)), predicted)
        (weights.grad,) = torch.autograd.grad(loss, [weights])
        optimiser.step()
        ctx.log(step, loss=loss.item())
    return {"pattern": _scale(rows @ weights @ columns.T, hyper.amplitude).detach()}


@attack(
    trigger=trigger,
    paper="Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective, arXiv 2104.03413",
    year=2021,
    version=1,
    display_name="LF",
    all_to_all=True,
    clean_model=True,
    prepare=optimise_pattern,
)
def lf(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Add the pattern to a share of the training images and relabel them."""
    state = train.prepared
    return poison_dirty_label(train, goal, lambda images: trigger(images, state), state, ctx)


def _cosines(side: int, fraction: float) -> torch.Tensor:
    """Return the lowest DCT-II basis vectors without the constant one, (side, k)."""
    orders = torch.arange(1, max(1, round(fraction * side)) + 1)
    return torch.cos(math.pi * (2 * torch.arange(side)[:, None] + 1) * orders / (2 * side))


def _scale(pattern: torch.Tensor, amplitude: float) -> torch.Tensor:
    """Return the pattern stretched to the range from 0 to ``amplitude``."""
    low, high = pattern.min(), pattern.max()
    return amplitude * (pattern - low) / (high - low)
