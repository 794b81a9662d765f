"""Learns the masks of IMS: three stages of rounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Budget, Context, Defended, InvertibleMasks
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    VictimBatch,
    add_gradients,
    probabilities,
)
from harness.toolbox.ims.search import PerturbationSearch
from harness.toolbox.loops import Patience
from harness.toolbox.masks.channel_gates import Gates, GateSites

BINS = 20
"""Bins of the gates' histograms, over [0, 1]."""


@dataclass(frozen=True)
class MaskStage:
    """One of the three stages."""

    name: str
    most_rounds: int
    sparsity: float
    """Weight of the selection penalty."""


def learn_invertible_masks(
    model: nn.Module, budget: Budget, sites: GateSites, hyper: InvertibleMasks, ctx: Context
) -> Defended:
    """Learn masks of a model.

    Args:
        model: the victim; it is frozen.
        budget: clean samples; their labels are not used.
        sites: where the gates are.
        hyper: settings of the masks and stages.
        ctx: device, generator and log.

    Returns:
        the masked network, the inverse network and all gates. A companion is the victim under the
        gates of its name; "soft" is the victim under "mask".
    """
    networks = Networks(model, sites, budget.images)
    images = budget.images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        clean = torch.cat([probabilities(networks.reference(x)) for x in images.split(hyper.batch)])
    search = PerturbationSearch(networks, hyper, ctx.device)
    masks, after = _initial_masks(sites.count(), hyper, ctx), {}
    for stage in _stages(hyper):
        learn_stage(stage, search, masks, VictimBatch(images, clean), hyper, ctx)
        after[stage.name] = masks.mask().detach()
    return _defended(networks, masks, after, hyper)


def _initial_masks(count: int, hyper: InvertibleMasks, ctx: Context) -> MaskPair:
    a, s = (torch.ones(count, device=ctx.device, requires_grad=True) for _ in range(2))
    return MaskPair(a, s if hyper.selection else torch.zeros(count, device=ctx.device), hyper.k)


def _stages(hyper: InvertibleMasks) -> tuple[MaskStage, MaskStage, MaskStage]:
    sparsity = hyper.sparsity if hyper.selection else 0.0
    return (
        MaskStage("A", hyper.initial_rounds, sparsity),
        MaskStage("B", hyper.rounds, 0.0),
        MaskStage("C", hyper.rounds, sparsity),
    )


def learn_stage(
    stage: MaskStage,
    search: PerturbationSearch,
    masks: MaskPair,
    samples: VictimBatch,
    hyper: InvertibleMasks,
    ctx: Context,
) -> None:
    """Run the rounds of a stage, with one AdamW step on the masks after each.

    The stage ends when the loss has not improved for more than ``hyper.patience`` rounds; the last
    masks are kept, not the best ones.
    """
    optimiser = torch.optim.AdamW([x for x in (masks.s, masks.a) if x.requires_grad], lr=hyper.lr)
    patience = Patience(hyper.patience + 1, factor=hyper.improvement)
    for step in range(stage.most_rounds):
        order = torch.randperm(len(samples.x), generator=ctx.generator)
        chosen = order[: hyper.batch].to(ctx.device)
        batch = VictimBatch(samples.x[chosen], samples.clean[chosen])
        shifted = None if stage.name == "A" else search(masks, batch)
        optimiser.zero_grad()
        loss = add_gradients(search.networks, masks, batch, shifted, stage.sparsity)
        optimiser.step()
        with torch.no_grad():
            masks.a.clamp_(0, 1)
            masks.s.clamp_(0, 1)
            loss_now, selected = torch.stack([loss, (1 - masks.s).mean()]).tolist()
        ctx.log(step, stage="ABC".index(stage.name), loss=loss_now, selected=selected)
        patience.improves(loss_now)
        if patience.over():
            return


def _defended(
    networks: Networks, masks: MaskPair, after: Gates, hyper: InvertibleMasks
) -> Defended:
    """Return the result; ``after`` are the masks after each stage, by its name."""
    soft = masks.mask().detach()
    after = {f"stage-{name}": x for name, x in after.items() if hyper.stages and name != "C"}
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
