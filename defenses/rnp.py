"""RNP (Reconstructive Neuron Pruning): unlearn the clean task, prune what does not recover it.

Li, Lyu, Ma, Koren, Lyu, Li, Jiang, "Reconstructive Neuron Pruning for Backdoor Defense", arXiv
2305.14876. Threat model: clean samples only.

A copy unlearns clean data by gradient ascent on cross-entropy, until its accuracy on a pass is at
most 0.2. Its weights are frozen and a mask in [0, 1] on the scale of every batch norm channel
relearns the clean data. Channels whose mask stays small are cut (scale zero) in the victim itself.
The settings are those of the IMS comparison (arXiv 2509.15497): ascent with SGD lr 0.001, momentum
0.9, weight decay 0.05, cosine, at most 20 epochs; masks with SGD lr 0.2, momentum 0.9, 20 epochs;
batch 256, training augmentation, batch statistics of the batch; thresholds in steps of 0.02 until
accuracy has fallen by more than 0.02. Departures: that accuracy is measured on validation data out
of the budget (theirs on the training images); the gradient norm is clipped at 20 after the gradient
is computed (theirs before, on zeros, and runs that diverge are repeated at a smaller rate); the
masks start at 1 (theirs have already moved in the unlearning).

Preset ``authors``: their script (bboylyg/RNP at eeae192e), for 500 clean images of CIFAR-10:
unlearning at lr 0.01, a tenth of it after 10 and 20 epochs, weight decay 5e-4, no limit of the
norm; batch 128; thresholds in steps of 0.05. Their recovery multiplies the loss by 0.2 at lr 0.2,
which for SGD without decay is lr 0.04. Departure: the threshold is chosen on held-out images, as
above (theirs prints all of them with test accuracy and holds nothing out).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Budget,
    Context,
    Count,
    Defended,
    NonNegative,
    Positive,
    Share,
    added,
    defense,
)
from harness.toolbox import (
    Loop,
    ScaleMasks,
    accuracy,
    forward_with_scales,
    hold_out,
    train_epochs,
    unit_scale_masks,
    zero_scales_,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Unlearning, recovering, and the choice of the threshold."""

    unlearn_epochs: Count = 20
    unlearn_lr: Positive = 0.001
    unlearn_to: Share = 0.2
    """Accuracy over one pass at which unlearning ends."""
    weight_decay: NonNegative = 0.05
    """Weight decay of the unlearning alone."""
    largest_norm: Positive = 20
    """Largest norm of the unlearning's gradient."""
    recover_epochs: Count = 20
    recover_lr: Positive = 0.2
    momentum: Share = 0.9
    batch: Count = 256
    spacing: Positive = 0.02
    """Step between thresholds."""
    tolerance: Share = 0.02
    """Absolute fall of clean validation accuracy at which pruning stops."""
    val_share: Share = 0.1
    unlearn_milestones: tuple[Count, ...] | None = added(None)
    """Numbers of epochs after which the unlearning's rate falls to a tenth; None: a cosine."""


PRESETS = {
    "authors": Hyper(
        unlearn_lr=0.01,
        unlearn_milestones=(10, 20),
        weight_decay=5e-4,
        largest_norm=1e9,
        recover_lr=0.04,
        batch=128,
        spacing=0.05,
    )
}


@defense(
    paper="Reconstructive Neuron Pruning for Backdoor Defense, arXiv 2305.14876",
    year=2023,
    family="pruning",
    version=1,
    display_name="RNP",
    least_spc=2,
    requires="batchnorm",
    varied=("unlearn_lr", "recover_lr", "tolerance"),
)
def rnp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Unlearn and recover a copy, prune the model, and return it with the masks."""
    learning, val = hold_out(budget, hyper.val_share, ctx)
    unlearned = unlearn_(copy.deepcopy(model), learning, hyper, ctx)
    masks = recover_masks(unlearned, learning, hyper, ctx)
    pruned = prune(model, masks, val, hyper, ctx)
    return Defended(pruned, artifacts={f"mask.{name}": mask for name, mask in masks.items()})


def unlearn_(net: nn.Module, clean: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Raise the cross-entropy of ``net`` on clean data in place, and return it."""
    correct: list[torch.Tensor] = []

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = net.train()(x)
        correct.append(logits.argmax(1) == y)
        loss = F.cross_entropy(logits, y)
        (-loss).backward()
        nn.utils.clip_grad_norm_(net.parameters(), hyper.largest_norm)
        return loss

    def is_unlearned() -> bool:
        accuracy_of_pass = torch.cat(correct).float().mean().item()
        correct.clear()
        return accuracy_of_pass <= hyper.unlearn_to

    optimiser = torch.optim.SGD(
        net.parameters(), hyper.unlearn_lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    milestones = hyper.unlearn_milestones
    loop = Loop(
        hyper.unlearn_epochs,
        hyper.batch,
        cosine=milestones is None,
        milestones=milestones or (),
    )
    train_epochs(clean, step, optimiser, loop, ctx, is_unlearned)
    return net


def recover_masks(net: nn.Module, clean: Budget, hyper: Hyper, ctx: Context) -> ScaleMasks:
    """Return masks in [0, 1] with which the frozen ``net`` solves the clean task again."""
    net.train().requires_grad_(False)
    masks = {name: mask.requires_grad_() for name, mask in unit_scale_masks(net).items()}

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(forward_with_scales(net, x, masks), y)
        loss.backward()
        return loss

    @torch.no_grad()
    def clip(*_: object) -> None:
        for mask in masks.values():
            mask.clamp_(0, 1)

    optimiser = torch.optim.SGD(masks.values(), hyper.recover_lr, hyper.momentum)
    optimiser.register_step_post_hook(clip)
    train_epochs(clean, step, optimiser, Loop(hyper.recover_epochs, hyper.batch), ctx)
    return {name: mask.detach() for name, mask in masks.items()}


def prune(
    model: nn.Module, masks: ScaleMasks, val: Budget, hyper: Hyper, ctx: Context
) -> nn.Module:
    """Return the model cut at the last threshold before clean validation accuracy falls."""
    before, result = accuracy(model, val), model
    for i in range(1, round(1 / hyper.spacing)):
        candidate = copy.deepcopy(model)
        cut = zero_scales_(candidate, i * hyper.spacing, masks)
        now = accuracy(candidate, val)
        ctx.log(i, threshold=i * hyper.spacing, cut=cut, val_acc=now)
        if before - now > hyper.tolerance:
            break
        result = candidate
    return result
