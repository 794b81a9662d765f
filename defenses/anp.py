"""ANP (Adversarial Neuron Pruning): prune the neurons that adversarial noise on neurons exposes.

Wu, Wang, "Adversarial Neuron Pruning Purifies Backdoored Deep Models", arXiv 2110.14430. Threat
model: clean samples only.

A mask m in [0, 1] on the scale of every batch norm channel is trained on alpha * CE(clean) +
(1 - alpha) * CE(under the worst noise within eps on scales and shifts), then channels with a small
mask are cut (scale set to zero). The settings are those of the IMS comparison (arXiv 2509.15497):
eps 0.4, one step, alpha 0.2, 2,000 iterations of SGD lr 0.01 with momentum 0.9, batches of 256
drawn with replacement, training augmentation, batch statistics of the batch; thresholds 0, 0.05 ...
0.90, the last one whose clean validation accuracy is within 10 % of the start. Departures: the
noise is clipped to eps, as in the paper (the public code lets it reach 2 eps); accuracy is compared
with validation accuracy before pruning (theirs with test accuracy), on images that are not
augmented (theirs are).

Preset ``authors``: their script (csdongxian/ANP_backdoor at ec7b1790), for 500 clean images of
CIFAR-10: lr 0.2, batch 128, and noise that may reach 2 eps. Channels with a mask of at most 0.2 are
cut, as in the paper's experiments (the script prints every threshold), so that no image is held
out.
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
    GraphedStep,
    NoiseSearch,
    ScaleMasks,
    accuracy,
    forward_with_noise,
    forward_with_scales,
    hold_out,
    optimiser_state,
    random_batch,
    random_noise,
    unit_scale_masks,
    worsen_noise,
    zero_scales_,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The mask's training, and the choice of the threshold."""

    eps: NonNegative = 0.4
    """Largest relative change of a scale or a shift."""
    steps: Count = 1
    """Steps of the search for the noise."""
    alpha: Share = 0.2
    iterations: Count = 2000
    batch: Count = 256
    lr: Positive = 0.01
    momentum: Share = 0.9
    largest: Share = 0.9
    """The largest threshold."""
    spacing: Positive = 0.05
    """Step between thresholds."""
    tolerance: Share = 0.1
    """Relative change of clean validation accuracy at which pruning stops."""
    val_share: Share = 0.1
    threshold: Share | None = added(None)
    """Fixed threshold, which needs no validation data; None: the last one within ``tolerance``."""
    clip_noise: bool = added(True)
    """Whether a step of the search ends within ``eps``; if not, the noise may reach 2 ``eps``."""


PRESETS = {"authors": Hyper(lr=0.2, batch=128, threshold=0.2, clip_noise=False)}


@defense(
    paper="Adversarial Neuron Pruning Purifies Backdoored Deep Models, arXiv 2110.14430",
    year=2021,
    family="pruning",
    version=2,
    display_name="ANP",
    least_spc=2,
    requires="batchnorm",
    varied=("eps", "alpha", "lr"),
)
def anp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Train the masks, prune at the chosen threshold, and return the plain model with its masks."""
    if hyper.threshold is None:
        train, val = hold_out(budget, hyper.val_share, ctx)
        masks = train_masks(copy.deepcopy(model), train, hyper, ctx)
        prune_(model, masks, val, hyper, ctx)
    else:
        masks = train_masks(copy.deepcopy(model), budget, hyper, ctx)
        zero_scales_(model, hyper.threshold, masks)
    return Defended(model, artifacts={f"mask.{name}": mask for name, mask in masks.items()})


def train_masks(net: nn.Module, train: Budget, hyper: Hyper, ctx: Context) -> ScaleMasks:
    """Train one mask per batch norm channel; the running statistics of ``net`` are overwritten."""
    net.train().requires_grad_(False)
    masks = {name: mask.requires_grad_() for name, mask in unit_scale_masks(net).items()}
    optimiser = torch.optim.SGD(masks.values(), hyper.lr, hyper.momentum)
    search = NoiseSearch(hyper.eps, hyper.steps, hyper.clip_noise)

    def step(x: torch.Tensor, y: torch.Tensor, start: torch.Tensor) -> tuple[torch.Tensor, ...]:
        noise = worsen_noise(net, masks, (x, y), search, start)
        optimiser.zero_grad()
        robust = F.cross_entropy(forward_with_noise(net, masks, x, noise), y)
        ((1 - hyper.alpha) * robust).backward()  # one pass at a time: half the memory
        natural = F.cross_entropy(forward_with_scales(net, x, masks), y)
        (hyper.alpha * natural).backward()
        optimiser.step()
        with torch.no_grad():
            for mask in masks.values():
                mask.clamp_(0, 1)
        return natural.detach(), robust.detach()

    def changing() -> list[torch.Tensor]:
        return [*masks.values(), *net.buffers(), *optimiser_state(optimiser)]

    graphed = GraphedStep(step, ctx.device, changing)
    for i in range(hyper.iterations):
        batch = random_batch(train, hyper.batch, ctx)
        natural, robust = graphed(*batch, random_noise(masks, search.eps, ctx))
        ctx.check()
        if i % 50 == 0:
            ctx.log(i, natural=natural.item(), robust=robust.item())
    return {name: mask.detach() for name, mask in masks.items()}


def prune_(model: nn.Module, masks: ScaleMasks, val: Budget, hyper: Hyper, ctx: Context) -> None:
    """Cut channels in place, up to the last threshold that keeps clean validation accuracy."""
    before, unpruned = accuracy(model, val), copy.deepcopy(model)
    for i in range(round(hyper.largest / hyper.spacing) + 1):
        candidate = copy.deepcopy(unpruned)
        cut = zero_scales_(candidate, i * hyper.spacing, masks)
        now = accuracy(candidate, val)
        ctx.log(i, threshold=i * hyper.spacing, cut=cut, val_acc=now)
        if abs(now - before) < hyper.tolerance * before:
            model.load_state_dict(candidate.state_dict())
