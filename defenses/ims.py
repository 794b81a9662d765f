"""IMS (Invertible Masking using Selection): find the channels that carry the backdoor, and mask them softly.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Backdoor Mitigation via Invertible Pruning Masks", arXiv
2509.15497. Threat model: clean samples only, and no labels: every target is a prediction of the
victim itself, f.

Every output channel of every convolution has a raw mask a and a selection s in [0, 1], both 1 at first.
With sig(a) = sigmoid(k (a - 1/2)), the mask is 1 - (1 - s)(1 - sig(a)) and the inverse mask is
1 - (1 - s) sig(a): where s = 1 a channel serves both networks, where s = 0 the gates are complementary. f_m,
under the mask, is to keep the clean task; f_i, under the inverse, is to keep only the backdoor, and leads an
inner search for perturbations x' of clean images that act like the unknown trigger. Three stages in turn:

A  agree(f_m(x), f(x)) + disagree(f_i(x), f(x)) + lambda mean(1 - s)
B  agree(f_m(x), f(x)) + disagree(f_i(x), f(x))
   + agree(f_m(x'), f(x)) + agree(f_i(x'), f(x')) + disagree(f_i(x'), f(x))
C  B + lambda mean(1 - s)

where agree(u, v) = -log <softmax u, softmax v> and disagree(u, v) = -log(1 - <softmax u, softmax v>). The
inner search minimises agree(f_i(x'), f(x')) + disagree(f(x'), f(x)) anew for every batch; x' is a constant of
the outer step. Defaults are the authors' one setting for all convolutional networks. The soft mask is the
result: it multiplies convolution outputs before batch norm, so it folds into the weights and a plain model
is returned. Departures: f(x) is computed once; stage A does without the search, which the authors' code runs
there only to log it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import (
    Budget,
    Context,
    Count,
    NonNegative,
    NonNegativeCount,
    Positive,
    Repaired,
    Share,
    defense,
)
from harness.toolbox.gates import GatedNetwork, Gates, convolutions, folded, split

EPS = 1e-8


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Masks, the inner search, and the three stages."""

    k: Positive = 20
    """Sharpness of the mask's sigmoid."""
    sparsity: NonNegative = 10
    """lambda, the weight of the mean of 1 - s in stages A and C."""
    lr: Positive = 0.02
    """Of the masks (AdamW)."""
    inner_lr: Positive = 0.001
    """Of the perturbation (AdamW), in units of pixel values in [0, 1]."""
    inner_steps: NonNegativeCount = 20
    bound: Positive = 1
    """Largest absolute perturbation of a pixel value."""
    initial_rounds: NonNegativeCount = 100
    """At most so many rounds in stage A."""
    rounds: NonNegativeCount = 200
    """At most so many rounds in each of the stages B and C."""
    patience: NonNegativeCount = 25
    """A stage ends after more than so many rounds without improvement."""
    improvement: Share = 0.98
    """A loss below this share of the best one is an improvement."""
    batch: Count = 256


@dataclass
class Masks:
    """The learned values of all channels, flat, (channels of all convolutions,)."""

    a: torch.Tensor
    s: torch.Tensor
    k: float

    def mask(self) -> torch.Tensor:
        """Return the gates of the cleaned network."""
        return 1 - (1 - self.s) * (1 - self._sig())

    def inverse(self) -> torch.Tensor:
        """Return the gates of the inverse network; mask + inverse = 1 + s."""
        return 1 - (1 - self.s) * self._sig()

    def _sig(self) -> torch.Tensor:
        return torch.sigmoid(self.k * (self.a - 0.5))


@dataclass(frozen=True)
class Networks:
    """The victim f, frozen, and a copy of it to be run under gates."""

    reference: nn.Module
    gated: GatedNetwork

    def gates(self, flat: torch.Tensor) -> Gates:
        """Return flat gates by layer."""
        return split(flat, self.reference)


@defense(
    paper="Backdoor Mitigation via Invertible Pruning Masks, arXiv 2509.15497",
    year=2025,
    family="pruning",
    version=1,
    requires="convolutions",
)
def ims(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Repaired:
    """Learn the masks and return the masked network, the inverse network and all gates."""
    channels = sum(layer.out_channels for layer in convolutions(model).values())
    networks = Networks(model.eval().requires_grad_(False), GatedNetwork(model))
    a, s = (torch.ones(channels, device=ctx.device, requires_grad=True) for _ in range(2))
    masks = Masks(a, s, hyper.k)
    images = budget.images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        clean = torch.cat([probabilities(model(x)) for x in images.split(hyper.batch)])
    for stage, rounds, sparsity in (
        ("A", hyper.initial_rounds, hyper.sparsity),
        ("B", hyper.rounds, 0.0),
        ("C", hyper.rounds, hyper.sparsity),
    ):
        run_stage(stage, rounds, sparsity, Problem(networks, masks, images, clean, hyper, ctx))
    mask, inverse = networks.gates(masks.mask().detach()), networks.gates(masks.inverse().detach())
    kept = {"mask": mask, "inverse": inverse, "selection": networks.gates(s.detach())}
    return Repaired(
        folded(model, mask).requires_grad_(),
        artifacts={f"{kind}.{name}": x for kind, gates in kept.items() for name, x in gates.items()},
        companions={"inverse": folded(model, inverse)},
    )


@dataclass(frozen=True)
class Problem:
    """What every round needs."""

    networks: Networks
    masks: Masks
    images: torch.Tensor
    clean: torch.Tensor
    """Class probabilities of f on all images, (n, classes)."""
    hyper: Hyper
    ctx: Context


def run_stage(stage: str, rounds: int, sparsity: float, problem: Problem) -> None:
    """Move the masks, one AdamW step per round, until the loss no longer improves. The last ones stay."""
    masks, hyper, ctx = problem.masks, problem.hyper, problem.ctx
    optimiser = torch.optim.AdamW([masks.s, masks.a], lr=hyper.lr)
    best, idle = float("inf"), 0
    for step in range(rounds):
        chosen = torch.randperm(len(problem.images), generator=ctx.generator)[: hyper.batch].to(ctx.device)
        x, clean = problem.images[chosen], problem.clean[chosen]
        loss = (
            initial_loss(problem.networks, masks, x, clean)
            if stage == "A"
            else outer_loss(problem.networks, masks, x, perturbed(problem, x, clean), clean)
        ) + sparsity * (1 - masks.s).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            masks.a.clamp_(0, 1)
            masks.s.clamp_(0, 1)
        value = loss.item()
        ctx.log(step, stage="ABC".index(stage), loss=value, selected=(1 - masks.s).mean().item())
        best, idle = (value, 0) if value < hyper.improvement * best else (best, idle + 1)
        if idle > hyper.patience:
            return


def initial_loss(networks: Networks, masks: Masks, x: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Stage A without its sparsity term: images (n, C, H, W), clean probabilities of f (n, classes)."""
    masked = probabilities(networks.gated(x, networks.gates(masks.mask())))
    inverse = probabilities(networks.gated(x, networks.gates(masks.inverse())))
    return agree(masked, clean) + disagree(inverse, clean)


def outer_loss(
    networks: Networks, masks: Masks, x: torch.Tensor, shifted: torch.Tensor, clean: torch.Tensor
) -> torch.Tensor:
    """Stages B and C without the sparsity term: images, perturbed images, clean probabilities of f."""
    both = torch.cat([x, shifted])
    masked = probabilities(networks.gated(both, networks.gates(masks.mask())))
    inverse = probabilities(networks.gated(both, networks.gates(masks.inverse())))
    masked_x, masked_shifted = masked.chunk(2)
    inverse_x, inverse_shifted = inverse.chunk(2)
    with torch.no_grad():
        reached = probabilities(networks.reference(shifted))
    return (
        agree(masked_x, clean)
        + agree(masked_shifted, clean)
        + agree(inverse_shifted, reached)
        + disagree(inverse_shifted, clean)
        + disagree(inverse_x, clean)
    )


def perturbed(problem: Problem, x: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Search perturbations that change f's prediction and that the inverse network follows; return x + delta.

    They are added to pixel values in [0, 1] and not clipped to that range.
    """
    hyper, f = problem.hyper, problem.networks.reference
    inverse = folded(f, problem.networks.gates(problem.masks.inverse()))
    delta = torch.zeros_like(x, requires_grad=True)
    optimiser = torch.optim.AdamW([delta], lr=hyper.inner_lr)
    for _ in range(hyper.inner_steps):
        reached = probabilities(f(x + delta))
        loss = agree(probabilities(inverse(x + delta)), reached) + disagree(reached, clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            delta.clamp_(-hyper.bound, hyper.bound)
    return (x + delta).detach()


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return class probabilities, (n, classes)."""
    return logits.softmax(1)


def agree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log of the overlap of two batches of class probabilities."""
    return -((u * v).sum(1) + EPS).log().mean()


def disagree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log of what the overlap of two batches of class probabilities leaves of 1."""
    return -((1 - (u * v).sum(1)).clamp_min(0) + EPS).log().mean()
