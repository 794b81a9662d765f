"""NFT (Neural mask Fine-Tuning): relearn one factor per channel under MixUp, weights fixed.

Karim, Al Arafat, Khalid, Guo, Rahnavard, "Augmented Neural Fine-Tuning for Efficient Backdoor
Purification", arXiv 2407.10052. Threat model: clean samples only.

A mask m on the scale of every batch norm channel is trained, all else fixed, on the cross-entropy
of images mixed in pairs + 0.001 * sum |1 - m| / (clean samples per class). After every step the
masks of layer l = 1, 2 ... are clipped to [0.8 exp(-l / 2), 1], so that early layers change little;
they are folded into the scales at the end. The settings are those of the authors' script, for 500
clean images of CIFAR-10 (nazmul-karim170/NFT-Augmented-Backdoor-Purification at 9e40cacf): 1,000
iterations of batches of 128 drawn with replacement, SGD momentum 0.95, learning rate from 0.05 to
0.02 along a cosine that moves every 200 iterations, batch statistics of the batch, training
augmentation; the preset ``authors`` is the defaults. The released training function refers to
undefined counters and stops; it is followed without them. Departures: a batch is no larger than the
budget; the masks after the last iteration are taken (theirs saves all five stages with their test
accuracy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import (
    BatchNormMode,
    Budget,
    Context,
    Count,
    Defended,
    NonNegative,
    Positive,
    Share,
    defense,
)
from harness.toolbox import (
    ScaleMasks,
    fold_scales_,
    forward_with_scales,
    mixup_loss,
    random_batch,
    set_gradients,
    train_mode_,
    unit_scale_masks,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The masks, their bounds and their training."""

    rounds: Count = 5
    """Steps of the cosine."""
    iterations: Count = 200
    """Iterations per round."""
    batch: Count = 128
    lr: Positive = 0.05
    last_lr: NonNegative = 0.02
    """Where the cosine would end after the last round."""
    momentum: Share = 0.95
    sparsity: NonNegative = 0.001
    """Weight of |1 - m|."""
    alpha: Share = 0.8
    beta: NonNegative = 0.5
    """The smallest mask of layer l is alpha exp(-beta l)."""
    batchnorm: BatchNormMode = "train"


PRESETS = {"authors": Hyper()}


@defense(
    paper="Augmented Neural Fine-Tuning for Efficient Backdoor Purification, arXiv 2407.10052",
    year=2024,
    family="fine-tuning",
    version=1,
    display_name="NFT",
    requires="batchnorm",
    varied=("sparsity", "lr"),
)
def nft(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Train the masks; return the model with the masks folded in, and the masks."""
    masks = train_masks(train_mode_(model, hyper.batchnorm), budget, hyper, ctx)
    artifacts = {f"mask.{name}": mask for name, mask in masks.items()}
    return Defended(fold_scales_(model, masks).eval(), artifacts=artifacts)


def train_masks(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> ScaleMasks:
    """Return one mask per batch norm channel; in training mode, running statistics move too."""
    masks = {name: mask.requires_grad_() for name, mask in unit_scale_masks(model).items()}
    flat = list(masks.values())
    size, per_class = min(hyper.batch, len(budget)), len(budget) / budget.classes
    optimiser = torch.optim.SGD(flat, hyper.lr, hyper.momentum)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, hyper.rounds, hyper.last_lr)
    for number in range(hyper.rounds):
        for _ in range(hyper.iterations):
            x, y = random_batch(budget, size, ctx)
            loss = mixup_loss(lambda images: forward_with_scales(model, images, masks), x, y, ctx)
            distance = torch.stack([(1 - mask).abs().sum() for mask in flat]).sum()
            total = loss + hyper.sparsity * distance / per_class
            set_gradients(flat, torch.autograd.grad(total, flat))
            optimiser.step()
            clip_(masks, hyper)
            ctx.check()
        cosine.step()
        ctx.log(number, loss=loss.item(), distance=distance.item())
    return {name: mask.detach() for name, mask in masks.items()}


@torch.no_grad()
def clip_(masks: ScaleMasks, hyper: Hyper) -> None:
    """Clip the masks of layer l = 1, 2 ... to [alpha exp(-beta l), 1]."""
    for number, mask in enumerate(masks.values(), 1):
        mask.clamp_(hyper.alpha * math.exp(-hyper.beta * number), 1)
