"""The mathematics of IMS (arXiv 2509.15497): invertible masks with selection, learned in three stages.

Every gate has a raw mask a and a selection s in [0, 1], both 1 at first. With
sig(a) = sigmoid(k (a - 1/2)), the mask is 1 - (1 - s)(1 - sig(a)) and the inverse mask 1 - (1 - s) sig(a):
where s = 1 a channel serves both networks, where s = 0 the gates are complementary. f_m, under the mask, is
to keep the clean task; f_i, under the inverse, only the backdoor, and it leads an inner search for
perturbations x' of clean images that act like the unknown trigger. Three stages in turn:

A  agree(f_m(x), f(x)) + disagree(f_i(x), f(x)) + lambda mean |1 - s|
B  agree(f_m(x), f(x)) + disagree(f_i(x), f(x))
   + agree(f_m(x'), f(x)) + agree(f_i(x'), f(x')) + disagree(f_i(x'), f(x))
C  B + lambda mean |1 - s|

where agree(u, v) = -log <softmax u, softmax v> and disagree(u, v) = -log(1 - <softmax u, softmax v>). The
inner search minimises agree(f_i(x'), f(x')) + disagree(f(x'), f(x)) anew for every batch; x' is a constant of
the outer step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Context, Repaired
from harness.toolbox.frozen import constant, foldable
from harness.toolbox.gates import GatedNetwork, Gates, Sites
from harness.toolbox.perturb import descend
from harness.toolbox.settings import InvertibleMasks

EPS = 1e-8
BINS = 20
"""Of the histograms of gates, over [0, 1]."""


@dataclass
class Masks:
    """The learned values of all gates, flat, (gates,)."""

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


class Networks:
    """The victim f, frozen, and what runs of it: with constants in place of its batch norms, and under gates.

    Args:
        model: the victim; it is put into eval mode and frozen.
        sites: where the gates sit.
        images: float (n, C, H, W), to see once how the layers follow each other.
    """

    def __init__(self, model: nn.Module, sites: Sites, images: torch.Tensor) -> None:
        self.victim = model.eval().requires_grad_(False)
        self.sites = sites
        self._pairs = foldable(model, images[:1])
        self.reference = constant(copy.deepcopy(model), self._pairs)
        self.gated = GatedNetwork(constant(copy.deepcopy(model), {}), sites)

    def fixed(self, flat: torch.Tensor) -> nn.Module:
        """Return a copy of f with gates, (gates,), put in for good."""
        return self.sites.fixed(self.victim, self.sites.split(flat.detach()))

    def running(self, flat: torch.Tensor) -> nn.Module:
        """Return the same, only to be run."""
        return constant(self.fixed(flat), self._pairs)


@dataclass(frozen=True)
class Problem:
    """What every round needs."""

    networks: Networks
    masks: Masks
    images: torch.Tensor
    clean: torch.Tensor
    """Class probabilities of f on all images, (n, classes)."""
    hyper: InvertibleMasks
    ctx: Context


def masked(
    model: nn.Module, images: torch.Tensor, sites: Sites, hyper: InvertibleMasks, ctx: Context
) -> Repaired:
    """Learn the masks of ``model``, and return the masked network, the inverse network and all gates.

    A companion is the victim under the gates of its name; "soft" is the victim under "mask".

    Args:
        model: the victim; it is frozen.
        images: clean, float (n, C, H, W) in [0, 1]; labels are not needed.
        sites: where the gates sit.
        hyper: settings of the masks and stages.
        ctx: device, generator, log.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    networks, masks = Networks(model, sites, images), _fresh(sites.count(), hyper, ctx)
    with torch.no_grad():
        clean = torch.cat([probabilities(networks.reference(x)) for x in images.split(hyper.batch)])
    problem = Problem(networks, masks, images, clean, hyper, ctx)
    after = {f"stage-{stage}": x for stage, x in learned(problem) if hyper.stages and stage != "C"}
    soft = masks.mask().detach()
    beside = {"inverse": masks.inverse(), **after, **({"soft": soft} if hyper.hard else {})}
    repaired = networks.fixed((soft >= 0.5).float() if hyper.hard else soft)
    return Repaired(
        repaired.requires_grad_(),
        artifacts=_kept(masks, sites) | _by_layer(after, sites),
        companions={name: networks.fixed(gates) for name, gates in beside.items()},
    )


def _fresh(gates: int, hyper: InvertibleMasks, ctx: Context) -> Masks:
    a = torch.ones(gates, device=ctx.device, requires_grad=True)
    s = torch.ones(gates, device=ctx.device, requires_grad=True)
    return Masks(a, s if hyper.selection else torch.zeros(gates, device=ctx.device), hyper.k)


def _kept(masks: Masks, sites: Sites) -> dict[str, torch.Tensor]:
    """Return all gates by layer, their histograms, and the share of selected channels in every layer."""
    kinds = {"mask": masks.mask(), "inverse": masks.inverse(), "selection": masks.s}
    flat = {kind: gates.detach() for kind, gates in kinds.items()}
    histograms = {f"histogram.{kind}": gates.cpu().histc(BINS, 0, 1) for kind, gates in flat.items()}
    selected = [(s < 0.5).float().mean() for s in sites.split(flat["selection"]).values()]
    return {**_by_layer(flat, sites), **histograms, "selected_share": torch.stack(selected)}


def _by_layer(flat: Gates, sites: Sites) -> Gates:
    return {f"{kind}.{name}": x for kind in flat for name, x in sites.split(flat[kind]).items()}


def learned(problem: Problem) -> Iterator[tuple[str, torch.Tensor]]:
    """Learn the masks, and yield every stage's name and the gates of the cleaned network after it."""
    hyper = problem.hyper
    for stage, rounds, sparsity in (
        ("A", hyper.initial_rounds, hyper.sparsity),
        ("B", hyper.rounds, 0.0),
        ("C", hyper.rounds, hyper.sparsity),
    ):
        run_stage(stage, rounds, sparsity if hyper.selection else 0.0, problem)
        yield stage, problem.masks.mask().detach()


def run_stage(stage: str, rounds: int, sparsity: float, problem: Problem) -> None:
    """Move the masks, one AdamW step per round, until the loss no longer improves. The last ones stay."""
    masks, hyper, ctx = problem.masks, problem.hyper, problem.ctx
    optimiser = torch.optim.AdamW([x for x in (masks.s, masks.a) if x.requires_grad], lr=hyper.lr)
    best, idle = float("inf"), 0
    for step in range(rounds):
        chosen = torch.randperm(len(problem.images), generator=ctx.generator)[: hyper.batch].to(ctx.device)
        x, clean = problem.images[chosen], problem.clean[chosen]
        loss = (
            initial_loss(problem.networks, masks, x, clean)
            if stage == "A"
            else outer_loss(problem.networks, masks, x, perturbed(problem, x, clean), clean)
        ) + sparsity * unselected(masks)
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


def unselected(masks: Masks) -> torch.Tensor:
    """Return the mean of |1 - s|. Where s = 1 its gradient is 0, so a gate at rest is not held there."""
    return (1 - masks.s).abs().mean()


def initial_loss(networks: Networks, masks: Masks, x: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Stage A without its sparsity term: images (n, C, H, W), clean probabilities of f (n, classes)."""
    masked = probabilities(networks.gated(x, masks.mask()))
    inverse = probabilities(networks.gated(x, masks.inverse()))
    return agree(masked, clean) + disagree(inverse, clean)


def outer_loss(
    networks: Networks, masks: Masks, x: torch.Tensor, shifted: torch.Tensor, clean: torch.Tensor
) -> torch.Tensor:
    """Stages B and C without the sparsity term: images, perturbed images, clean probabilities of f."""
    both = torch.cat([x, shifted])
    masked = probabilities(networks.gated(both, masks.mask()))
    inverse = probabilities(networks.gated(both, masks.inverse()))
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
    inverse = problem.networks.running(problem.masks.inverse())

    def loss(delta: torch.Tensor) -> torch.Tensor:
        reached = probabilities(f(x + delta))
        return agree(probabilities(inverse(x + delta)), reached) + disagree(reached, clean)

    delta = torch.zeros_like(x, requires_grad=True)
    optimiser = torch.optim.AdamW([delta], lr=hyper.inner_lr)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=hyper.bf16_search):
        return x + descend(delta, loss, optimiser, hyper.inner_steps, hyper.bound)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return class probabilities, (n, classes)."""
    return logits.float().softmax(1)


def agree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log of the overlap of two batches of class probabilities."""
    return -((u * v).sum(1) + EPS).log().mean()


def disagree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log of what the overlap of two batches of class probabilities leaves of 1."""
    return -((1 - (u * v).sum(1)).clamp_min(0) + EPS).log().mean()
