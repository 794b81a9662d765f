"""SAU (Shared Adversarial Unlearning): unlearn adversarial examples that fool model and victim.

Wei, Zhang, Zha, Wu, "Shared Adversarial Unlearning: Backdoor Mitigation by Unlearning Shared
Adversarial Examples", arXiv 2307.10562. Threat model: clean samples only.

For every batch a perturbation is searched that misleads both the model and the frozen victim, to
the same class: sign steps on beta_1 * (cross-entropies of what is not yet misled, negative) +
beta_2 * (Jensen-Shannon divergence of the two predictions where they are not yet shared). The model
then learns not to give the victim's wrong class, by -log(1 - p) on the images where the victim is
misled, beside clean cross-entropy. The settings are those of the IMS comparison (arXiv 2509.15497):
100 passes, batch 256, 5 steps of 0.2 from +0.2 within 0.2 of each pixel, not clipped to [0, 1];
beta 0.01 and 1; lambda 1, 0, 1; Adam (amsgrad) lr 1e-4; no augmentation; running statistics fixed.
They are also those of the authors' script for CIFAR-10 and GTSRB: the preset ``authors`` is the
defaults.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, NonNegative, Positive, defense
from harness.toolbox import Loop, minimise_perturbation, sign_sgd, train_epochs

LEAST = 1e-3
"""Probability below which a shared class is no longer pushed down."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The search for shared examples, and the unlearning."""

    epochs: Count = 100
    batch: Count = 256
    lr: Positive = 1e-4
    bound: Positive = 0.2
    """Largest perturbation of a pixel value in [0, 1]; also where the search starts."""
    step: Positive = 0.2
    steps: Count = 5
    beta_adversarial: NonNegative = 0.01
    beta_shared: NonNegative = 1
    lambda_clean: NonNegative = 1
    lambda_adversarial: NonNegative = 0
    lambda_shared: NonNegative = 1


PRESETS = {"authors": Hyper()}


@defense(
    paper="Shared Adversarial Unlearning: Backdoor Mitigation by Unlearning Shared Adversarial "
    "Examples, arXiv 2307.10562",
    year=2023,
    family="unlearning",
    version=1,
    display_name="SAU",
    varied=("bound", "beta_shared", "lr"),
)
def sau(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Unlearn shared adversarial examples and return the model after the last pass."""
    victim = copy.deepcopy(model).eval().requires_grad_(False)
    model.eval()

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = outer_loss(model, victim, (x, shared_examples(model, victim, x, y, hyper)), y, hyper)
        loss.backward()
        return loss

    optimiser = torch.optim.Adam(model.parameters(), hyper.lr, amsgrad=True)
    train_epochs(budget, step, optimiser, Loop(hyper.epochs, hyper.batch, augment=False), ctx)
    return model


def shared_examples(
    model: nn.Module, victim: nn.Module, x: torch.Tensor, y: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    """Return perturbed images, (n, C, H, W), that model and victim misclassify in the same way."""
    with torch.no_grad():
        before, before_victim = model(x).argmax(1), victim(x).argmax(1)

    def loss(delta: torch.Tensor) -> torch.Tensor:
        logits, victim_logits = model(x + delta).float(), victim(x + delta).float()
        label, victim_label = logits.argmax(1), victim_logits.argmax(1)
        misled, victim_misled = label != before, victim_label != before_victim
        shared = misled & victim_misled & (label == victim_label)
        cross = F.cross_entropy(logits, y, reduction="none") * ~misled
        victim_cross = F.cross_entropy(victim_logits, y, reduction="none") * ~victim_misled
        divergence = jensen_shannon(logits.softmax(1), victim_logits.softmax(1)) * ~shared
        adversarial = hyper.beta_adversarial * (cross + victim_cross) / 2
        losses: torch.Tensor = hyper.beta_shared * divergence - adversarial
        return losses.mean()

    delta = torch.full_like(x, hyper.bound, requires_grad=True)
    return x + minimise_perturbation(
        delta, loss, sign_sgd(delta, hyper.step), hyper.steps, hyper.bound
    )


def jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return the Jensen-Shannon divergence of class probabilities (n, classes), (n,)."""
    p, q = p.clamp_min(1e-8), q.clamp_min(1e-8)
    mixed = ((p + q) / 2).log()
    twice: torch.Tensor = (p * (p.log() - mixed) + q * (q.log() - mixed)).sum(1)
    return twice / 2


def outer_loss(
    model: nn.Module,
    victim: nn.Module,
    images: tuple[torch.Tensor, torch.Tensor],
    y: torch.Tensor,
    hyper: Hyper,
) -> torch.Tensor:
    """Return the loss of clean and perturbed images, (n, C, H, W) each, with labels (n,)."""
    x, shifted = images
    clean, adversarial = model(torch.cat([x, shifted])).float().chunk(2)
    with torch.no_grad():
        wrong, right = victim(shifted).argmax(1), victim(x).argmax(1)
    misled = (wrong != y) & (wrong != right)
    p = adversarial.softmax(1).gather(1, wrong[:, None])[:, 0].clamp_min(LEAST)
    shared: torch.Tensor = -((1 + 1e-6 - p).log() * misled).mean()
    return (
        hyper.lambda_clean * F.cross_entropy(clean, y)
        + hyper.lambda_adversarial * F.cross_entropy(adversarial, y)
        + hyper.lambda_shared * shared
    )
