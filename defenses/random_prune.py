"""Random pruning: cut random channels as long as clean accuracy allows; a control.

It shows what uninformed pruning does to a backdoor at the same loss of clean accuracy as the other
pruning methods: all channels of all convolutions are put in a random order, and 1 % more of them
are cut at a time, until clean validation accuracy has fallen by 10 % of what it was (the tolerance
of FP and ANP in the IMS comparison). The step that broke the tolerance is undone. Threat model:
clean samples only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Budget, Context, Share, defense
from harness.toolbox import accuracy, convolution_sites, hold_out


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """When pruning stops."""

    step: Share = 0.01
    """Share of all channels that each step cuts, at least one."""
    tolerance: Share = 0.1
    """Relative fall of clean validation accuracy at which pruning stops."""
    val_share: Share = 0.1


@defense(
    paper="",
    year=0,
    family="control",
    version=1,
    display_name="Random pruning",
    least_spc=2,
    requires="convolutions",
)
def random_prune(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Cut random channels and return the plain model."""
    _, val = hold_out(budget, hyper.val_share, ctx)
    sites = convolution_sites(model)
    order = torch.randperm(sites.count(), generator=ctx.generator)
    step = max(1, round(hyper.step * len(order)))
    before, result = accuracy(model, val), model
    for n in range(step, len(order), step):
        gates = torch.ones(len(order))
        gates[order[:n]] = 0
        candidate = sites.with_gates(model, sites.split(gates.to(ctx.device)))
        now = accuracy(candidate, val)
        ctx.log(n, cut=n, val_acc=now)
        if before - now > hyper.tolerance * before:
            break
        result = candidate
    return result
