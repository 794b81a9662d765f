"""The learning of IMS: three stages of rounds, for one problem or for several on the same victim at once.

A problem is what a cell comes to: its images, its masks, its random draws, its optimiser and its
end. Problems that share a victim and all settings can be solved side by side: every round puts
their images into one batch, each under its own gates, and a problem that has ended leaves the
batch. The masks are those of solving each by itself, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from harness.contract import Context, Defended, InvertibleMasks
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
from harness.toolbox.masks.channel_gates import Gates, GateSites

BINS = 20
"""Of the histograms of gates, over [0, 1]."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One set of masks to learn."""

    masks: MaskPair
    images: torch.Tensor
    clean: torch.Tensor
    """Class probabilities of f on all images, (n, classes)."""
    ctx: Context
    after: dict[str, torch.Tensor] = field(default_factory=dict)
    """The gates of the cleaned network after each stage that has ended."""


@dataclass
class Round:
    """What a problem asks for: its loss on some of its images, and the gradient at its masks."""

    problem: Problem
    stage: str
    sparsity: float
    """Weight of the unselected channels."""
    images: torch.Tensor
    clean: torch.Tensor
    loss: float = 0.0
    """The answer; the gradient is put where the optimiser looks for it."""


def learn_invertible_masks(
    model: nn.Module,
    images: Sequence[torch.Tensor],
    sites: GateSites,
    hyper: InvertibleMasks,
    contexts: Sequence[Context],
) -> list[Defended]:
    """Learn masks of ``model`` for every set of images.

    Return the masked network, the inverse network and all gates, for each. A companion is the
    victim under the gates of its name; "soft" is the victim under "mask".

    Args:
        model: the victim; it is frozen.
        images: clean, float (n, C, H, W) in [0, 1] each; labels are not needed.
        sites: where the gates sit.
        hyper: settings of the masks and stages.
        contexts: device, generator and log of each.
    """
    networks = Networks(model, sites, images[0])
    problems = [_problem(networks, x, hyper, ctx) for x, ctx in zip(images, contexts, strict=True)]
    learn(networks, problems, hyper)
    return [_repaired(networks, problem, hyper) for problem in problems]


def _problem(
    networks: Networks, images: torch.Tensor, hyper: InvertibleMasks, ctx: Context
) -> Problem:
    count = networks.sites.count()
    a, s = (torch.ones(count, device=ctx.device, requires_grad=True) for _ in range(2))
    masks = MaskPair(
        a, s if hyper.selection else torch.zeros(count, device=ctx.device), hyper.k
    )
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        clean = torch.cat([probabilities(networks.reference(x)) for x in images.split(hyper.batch)])
    return Problem(masks, images, clean, ctx)


def _repaired(networks: Networks, problem: Problem, hyper: InvertibleMasks) -> Defended:
    masks = problem.masks
    soft = masks.mask().detach()
    after = {
        f"stage-{stage}": x for stage, x in problem.after.items() if hyper.stages and stage != "C"
    }
    beside = {"inverse": masks.inverse(), **after, **({"soft": soft} if hyper.hard else {})}
    repaired = networks.fixed((soft >= 0.5).float() if hyper.hard else soft)
    return Defended(
        repaired.requires_grad_(),
        artifacts=_kept(masks, networks.sites) | _by_layer(after, networks.sites),
        companions={name: networks.fixed(gates) for name, gates in beside.items()},
    )


def _kept(masks: MaskPair, sites: GateSites) -> Gates:
    """Return all gates by layer, their histograms, and the share of selected channels in every layer."""
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
    """Learn the masks of all problems, round by round, until each has come to its own end."""
    running = [rounds(problem, hyper) for problem in problems]
    while asked := [x for x in (next(each, None) for each in running) if x is not None]:
        for searching in (False, True):
            if group := [x for x in asked if (x.stage != "A") is searching]:
                evaluate_rounds(networks, group, hyper)


def rounds(problem: Problem, hyper: InvertibleMasks) -> Iterator[Round]:
    """Ask for every round of the three stages."""
    for stage, most, sparsity in (
        ("A", hyper.initial_rounds, hyper.sparsity),
        ("B", hyper.rounds, 0.0),
        ("C", hyper.rounds, hyper.sparsity),
    ):
        yield from optimise_stage(stage, most, sparsity if hyper.selection else 0.0, problem, hyper)
        problem.after[stage] = problem.masks.mask().detach()


def optimise_stage(
    stage: str, most: int, sparsity: float, problem: Problem, hyper: InvertibleMasks
) -> Iterator[Round]:
    """Move the masks, one AdamW step per round, until the loss no longer improves. The last ones stay."""
    masks, ctx = problem.masks, problem.ctx
    optimiser = torch.optim.AdamW([x for x in (masks.s, masks.a) if x.requires_grad], lr=hyper.lr)
    best, idle = float("inf"), 0
    for step in range(most):
        chosen = torch.randperm(len(problem.images), generator=ctx.generator)[: hyper.batch].to(
            ctx.device
        )
        asked = Round(problem, stage, sparsity, problem.images[chosen], problem.clean[chosen])
        optimiser.zero_grad()
        yield asked
        optimiser.step()
        with torch.no_grad():
            masks.a.clamp_(0, 1)
            masks.s.clamp_(0, 1)
        ctx.log(
            step, stage="ABC".index(stage), loss=asked.loss, selected=(1 - masks.s).mean().item()
        )
        best, idle = (asked.loss, 0) if asked.loss < hyper.improvement * best else (best, idle + 1)
        if idle > hyper.patience:
            return


def evaluate_rounds(networks: Networks, asked: Sequence[Round], hyper: InvertibleMasks) -> None:
    """Answer rounds that are all of stage A or all of the others, in one batch."""
    masks = [x.problem.masks for x in asked]
    images, clean = (
        torch.cat(parts) for parts in zip(*((x.images, x.clean) for x in asked), strict=True)
    )
    batch = ProblemBatch(images, clean, [len(x.images) for x in asked])
    if asked[0].stage == "A":
        losses = initial_losses(networks, masks, batch)
    else:
        losses = outer_losses(
            networks, masks, batch, search_perturbations(networks, masks, batch, hyper)
        )
    losses = losses + torch.stack([x.sparsity * selection_penalty(x.problem.masks) for x in asked])
    losses.sum().backward()
    for each, loss in zip(asked, losses.tolist(), strict=True):
        each.loss = loss
