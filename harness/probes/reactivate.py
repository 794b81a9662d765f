"""Re-activation: does a small change of the trigger bring the backdoor back?

Zhu, Liang, Wu, "Breaking the False Sense of Security in Backdoor Defense through Re-Activation
Attack" (NeurIPS 2024), arXiv 2405.16134. One perturbation for all images, at most 0.05 per pixel
value, is added to triggered images so that the model gives them the attacker's label again. With p
the probabilities and o the most probable other class, it minimises
CE(f(x), t) - log(1.0001 - p_o) on 1,000 triggered training images:

- ``white-box``: by SGD on the model itself.
- ``transfer``: by SGD on surrogates that the attacker makes from the victim, by fine-tuning on
  triggered images with their true labels. Departure: the authors take other defenses' models.
- ``black-box``: by Square attack (arXiv 1912.00049) on the cross-entropy alone, from vertical
  stripes; each proposal stays within the bound.

The raw ASR mostly measures how fragile a network is. ``gain`` is therefore ASR less the larger of
two controls: the same search on the clean model, and the perturbation on images without the trigger
(``alone``). The last perturbation counts, where the authors log all.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Attacker,
    Context,
    Count,
    FineTuning,
    Numbers,
    Positive,
    Quantity,
    probe,
)
from harness.toolbox import (
    Samples,
    as_float,
    attackable_indices,
    fine_tune_,
    share_predicted,
    thinned,
    triggered_images,
)

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the queries after which Square attack halves the area that it changes."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The search, its images, and what is scored."""

    search: Literal["white-box", "transfer", "black-box"] = "white-box"
    bound: Positive = 0.05
    """Largest change of a pixel value in [0, 1]."""
    images: Count = 1000
    """Triggered training images; the authors take 500 for the black box."""
    passes: Count = 50
    steps: Count = 5
    """Steps on each batch."""
    batch: Count = 128
    lr: Positive = 0.05
    surrogates: Count = 2
    surrogate_epochs: Count = 20
    queries: Count = 10_000
    """Proposals of the black-box search, each scored on all images."""
    area: Positive = 0.1
    """Share of the image that its first proposals change."""
    scored: Count = 10_000
    """The most test images, with and without the trigger each, that are scored."""


def gain_over_controls(own: Numbers, clean: Numbers) -> Numbers:
    """Return ASR less the larger control: of the clean model, or without the trigger."""
    return {"gain": own["asr"] - max(clean["asr"], own["alone"])}


@probe(
    paper="Breaking the False Sense of Security in Backdoor Defense through Re-Activation Attack, "
    "arXiv 2405.16134",
    year=2024,
    version=1,
    display_name="re-activation",
    numbers={
        "gain": Quantity("re-activation gain", -1, least=-1.0),
        "asr": Quantity("ASR, perturbed", -1),
        "alone": Quantity("ASR without trigger", -1),
    },
    against_clean=gain_over_controls,
)
def reactivate(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Search for the perturbation and score it on test images with and without the trigger."""
    chosen = attackable_indices(attacker, hyper.images, ctx)
    images = triggered_images(attacker, chosen)
    samples = (images, attacker.goal.labels(attacker.train.labels[chosen]))
    if hyper.search == "black-box":
        delta = square_search(model, samples, hyper, ctx)
    elif hyper.search == "transfer":
        delta = gradient_search(
            surrogates(attacker, samples, chosen, hyper, ctx), samples, hyper, ctx
        )
    else:
        delta = gradient_search([model], samples, hyper, ctx)
    test = attacker.test
    some = thinned(len(test.wanted), hyper.scored)
    asr, alone = (
        share_predicted(model, perturbed(as_float(shown[some]), delta), test.wanted[some])
        for shown in (test.triggered, test.untriggered)
    )
    return {"asr": asr, "alone": alone}


def perturbed(images: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """Return images with the perturbation, within [0, 1]."""
    return (images + delta).clamp(0, 1)


def gradient_search(
    models: Sequence[nn.Module], samples: Samples, hyper: Hyper, ctx: Context
) -> torch.Tensor:
    """Return the perturbation (1, C, H, W) that SGD finds on the mean loss of the models."""
    images, wanted = samples
    for model in models:
        model.eval().requires_grad_(False)
    start = 2 * torch.rand(1, *images.shape[1:], generator=ctx.generator) - 1
    delta = (hyper.bound * start).to(images.device).requires_grad_()
    for done in range(hyper.passes):
        order = torch.randperm(len(images), generator=ctx.generator).to(images.device)
        for chosen in order.chunk(-(-len(order) // hyper.batch)):
            for _ in range(hyper.steps):
                shown = perturbed(images[chosen], delta)
                loss = torch.stack([boosted_loss(net(shown), wanted[chosen]) for net in models])
                (gradient,) = torch.autograd.grad(loss.mean(), delta)
                with torch.no_grad():
                    delta.sub_(hyper.lr * gradient).clamp_(-hyper.bound, hyper.bound)
            ctx.check()
        ctx.log(done, loss=loss.mean().item())
    return delta.detach()


def boosted_loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean of CE(f(x), t) - log(1.0001 - p of the most probable class but t)."""
    others = logits.softmax(1).scatter(1, wanted[:, None], 0.0).max(1).values
    return F.cross_entropy(logits, wanted) - (1.0001 - others).log().mean()


def surrogates(
    attacker: Attacker, samples: Samples, chosen: torch.Tensor, hyper: Hyper, ctx: Context
) -> list[nn.Module]:
    """Return models from which the attacker has removed the backdoor, in different orders."""
    truth = attacker.train.labels[chosen]
    clean = as_float(attacker.train.images[chosen])
    both = (torch.cat([clean, samples[0]]), torch.cat([truth, truth]))
    how = FineTuning(epochs=hyper.surrogate_epochs)
    return [
        fine_tune_(copy.deepcopy(attacker.victim), both, how, attacker.augment, ctx)
        for _ in range(hyper.surrogates)
    ]


@torch.no_grad()
def square_search(model: nn.Module, samples: Samples, hyper: Hyper, ctx: Context) -> torch.Tensor:
    """Return the perturbation (1, C, H, W) of the best proposal by the sum of cross-entropies."""
    images, wanted = samples
    _, channels, height, width = images.shape
    signs = torch.randint(2, (1, channels, 1, width), generator=ctx.generator) * 2 - 1
    delta = (hyper.bound * signs.float()).expand(1, channels, height, width).to(images.device)
    best = _loss(model, images, wanted, delta)
    for query in range(hyper.queries):
        halvings = sum(query >= share * hyper.queries for share in HALVINGS)
        side = max(1, round((hyper.area * height * width / 2**halvings) ** 0.5))
        side = min(side, height, width)
        top = int(torch.randint(height - side + 1, (), generator=ctx.generator))
        left = int(torch.randint(width - side + 1, (), generator=ctx.generator))
        signs = torch.randint(2, (channels, 1, 1), generator=ctx.generator) * 2 - 1
        proposal = delta.clone()
        proposal[0, :, top : top + side, left : left + side] = hyper.bound * signs.to(images.device)
        loss = _loss(model, images, wanted, proposal)
        if loss < best:
            best, delta = loss, proposal
        ctx.check()
    return delta


def _loss(
    model: nn.Module, images: torch.Tensor, wanted: torch.Tensor, delta: torch.Tensor
) -> float:
    chunks = zip(images.split(500), wanted.split(500), strict=True)
    return float(
        sum(F.cross_entropy(model(perturbed(x, delta)), y, reduction="sum") for x, y in chunks)
    )
