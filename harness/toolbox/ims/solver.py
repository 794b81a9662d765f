"""Learns the masks of IMS: three stages of rounds, for one problem or several on the same victim.

A problem is the learning of one set of masks, with its own images, random draws, optimiser and
stopping. Problems that share a victim and all settings can be solved at the same time: every round
puts their images into one batch, each under its own gates, and a problem that has stopped leaves
the batch. The masks are those of separate runs, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from harness.contract import Budget, Context, Defended, InvertibleMasks
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    ProblemBatch,
    initial_losses,
    outer_losses,
    probabilities,
    search_perturbations,
    selection_penalty,
)
from harness.toolbox.loops import Patience
from harness.toolbox.masks.channel_gates import Gates, GateSites

BINS = 20
"""Bins of the gates' histograms, over [0, 1]."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One set of masks to learn."""

    masks: MaskPair
    images: torch.Tensor
    clean: torch.Tensor
    """Class probabilities of f on all images, (n, classes)."""
    ctx: Context
    after: dict[str, torch.Tensor] = field(default_factory=dict)
    """The mask after each stage that has ended, by the stage."""


@dataclass
class Round:
    """A problem's request for the loss on some of its images, and for its gradient at the masks."""

    problem: Problem
    stage: str
    sparsity: float
    """Weight of the selection penalty."""
    images: torch.Tensor
    clean: torch.Tensor
    loss: float = 0.0
    """Filled in by ``evaluate_rounds``, which also adds the gradient to the masks' ``grad``."""


def learn_invertible_masks(
    model: nn.Module,
    budgets: Sequence[Budget],
    sites: GateSites,
    hyper: InvertibleMasks,
    contexts: Sequence[Context],
) -> list[Defended]:
    """Learn masks of a model for every budget.

    Args:
        model: the victim; it is frozen.
        budgets: clean samples; their labels are not used.
        sites: where the gates are.
        hyper: settings of the masks and stages.
        contexts: device, generator and log of each budget.

    Returns:
        for each budget the masked network, the inverse network and all gates. A companion is the
        victim under the gates of its name; "soft" is the victim under "mask".
    """
    networks = Networks(model, sites, budgets[0].images)
    problems = [
        _problem(networks, budget.images, hyper, ctx)
        for budget, ctx in zip(budgets, contexts, strict=True)
    ]
    learn(networks, problems, hyper)
    return [_defended(networks, problem, hyper) for problem in problems]


def _problem(
    networks: Networks, images: torch.Tensor, hyper: InvertibleMasks, ctx: Context
) -> Problem:
    count = networks.sites.count()
    a, s = (torch.ones(count, device=ctx.device, requires_grad=True) for _ in range(2))
    masks = MaskPair(a, s if hyper.selection else torch.zeros(count, device=ctx.device), hyper.k)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        clean = torch.cat([probabilities(networks.reference(x)) for x in images.split(hyper.batch)])
    return Problem(masks, images, clean, ctx)


def _defended(networks: Networks, problem: Problem, hyper: InvertibleMasks) -> Defended:
    masks = problem.masks
    soft = masks.mask().detach()
    after = {
        f"stage-{stage}": x for stage, x in problem.after.items() if hyper.stages and stage != "C"
    }
    companions = {"inverse": masks.inverse(), **after, **({"soft": soft} if hyper.hard else {})}
    model = networks.with_gates((soft >= 0.5).float() if hyper.hard else soft)
    return Defended(
        model.requires_grad_(),
        artifacts=_artifacts(masks, networks.sites) | _by_layer(after, networks.sites),
        companions={name: networks.with_gates(gates) for name, gates in companions.items()},
    )


def _artifacts(masks: MaskPair, sites: GateSites) -> Gates:
    """Return all gates by layer, their histograms, and every layer's share of selected channels."""
    kinds = {"mask": masks.mask(), "inverse": masks.inverse(), "selection": masks.s}
    flat = {kind: gates.detach() for kind, gates in kinds.items()}
    histograms = {
        f"histogram.{kind}": gates.cpu().histc(BINS, 0, 1) for kind, gates in flat.items()
    }
    selected = [(s < 0.5).float().mean() for s in sites.split(flat["selection"]).values()]
    return {**_by_layer(flat, sites), **histograms, "selected_share": torch.stack(selected)}


def _by_layer(flat: Gates, sites: GateSites) -> Gates:
    return {f"{kind}.{name}": x for kind in flat for name, x in sites.split(flat[kind]).items()}


def learn(networks: Networks, problems: Sequence[Problem], hyper: InvertibleMasks) -> None:
    """Learn the masks of all problems, round by round, until every problem has stopped."""
    running = [rounds(problem, hyper) for problem in problems]
    while requested := [x for x in (next(each, None) for each in running) if x is not None]:
        for with_search in (False, True):
            if group := [x for x in requested if (x.stage != "A") is with_search]:
                evaluate_rounds(networks, group, hyper)


def rounds(problem: Problem, hyper: InvertibleMasks) -> Iterator[Round]:
    """Yield every round of the three stages."""
    for stage, max_rounds, sparsity in (
        ("A", hyper.initial_rounds, hyper.sparsity),
        ("B", hyper.rounds, 0.0),
        ("C", hyper.rounds, hyper.sparsity),
    ):
        weight = sparsity if hyper.selection else 0.0
        yield from optimise_stage(stage, max_rounds, weight, problem, hyper)
        problem.after[stage] = problem.masks.mask().detach()


def optimise_stage(
    stage: str, max_rounds: int, sparsity: float, problem: Problem, hyper: InvertibleMasks
) -> Iterator[Round]:
    """Yield the rounds of a stage, with one AdamW step on the masks after each.

    The stage ends when the loss has not improved for more than ``hyper.patience`` rounds; the last
    masks are kept, not the best ones.
    """
    masks, ctx = problem.masks, problem.ctx
    optimiser = torch.optim.AdamW([x for x in (masks.s, masks.a) if x.requires_grad], lr=hyper.lr)
    patience = Patience(hyper.patience + 1, factor=hyper.improvement)
    for step in range(max_rounds):
        chosen = torch.randperm(len(problem.images), generator=ctx.generator)[: hyper.batch].to(
            ctx.device
        )
        request = Round(problem, stage, sparsity, problem.images[chosen], problem.clean[chosen])
        optimiser.zero_grad()
        yield request
        optimiser.step()
        with torch.no_grad():
            masks.a.clamp_(0, 1)
            masks.s.clamp_(0, 1)
        ctx.log(
            step, stage="ABC".index(stage), loss=request.loss, selected=(1 - masks.s).mean().item()
        )
        patience.improves(request.loss)
        if patience.over():
            return


def evaluate_rounds(networks: Networks, requests: Sequence[Round], hyper: InvertibleMasks) -> None:
    """Compute losses and gradients of rounds in one batch: all of stage A, or none."""
    masks = [x.problem.masks for x in requests]
    images, clean = (
        torch.cat(tensors) for tensors in zip(*((x.images, x.clean) for x in requests), strict=True)
    )
    batch = ProblemBatch(images, clean, [len(x.images) for x in requests])
    if requests[0].stage == "A":
        losses = initial_losses(networks, masks, batch)
    else:
        shifted = search_perturbations(networks, masks, batch, hyper)
        losses = outer_losses(networks, masks, batch, shifted)
    penalties = [x.sparsity * selection_penalty(x.problem.masks) for x in requests]
    losses = losses + torch.stack(penalties)
    losses.sum().backward()
    for request, loss in zip(requests, losses.tolist(), strict=True):
        request.loss = loss
