"""TAC, trigger-activated change: how far does the trigger still change the activations?

Zheng, Tang, Li, Liu, "Data-free Backdoor Removal based on Channel Lipschitzness" (ECCV 2022), arXiv
2208.03111. TAC of a channel is the mean over images of the norm of the difference that the trigger
makes to the channel's output. ``ratio`` is the sum of TAC over a layer's channels, divided by the
victim's, mean over layers; ``channels`` is the share of all channels that carry 90 % of the model's
TAC: few in a network whose backdoor lies in few. Our use as a diagnostic of defended models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Attacker, Context, Count, Numbers, Quantity, probe
from harness.toolbox import activation_changes, thinned

CARRIED = 0.9


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Images."""

    images: Count = 500


@probe(
    paper="Data-free Backdoor Removal based on Channel Lipschitzness, arXiv 2208.03111",
    year=2022,
    version=1,
    display_name="TAC",
    numbers={
        "ratio": Quantity("TAC ratio", -1, most=None),
        "channels": Quantity("channels", 1),
    },
    trigger=False,
    requires="convolutions",
)
def tac(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Measure TAC of the model and of the victim on test images."""
    test = attacker.test
    some = thinned(len(test.wanted), hyper.images)
    own, victims = (
        activation_changes(network, test.untriggered[some], test.triggered[some], relative=False)
        for network in (model, attacker.victim)
    )
    ratios = [float(x.sum() / y.sum().clamp_min(1e-12)) for x, y in zip(own, victims, strict=True)]
    return {"ratio": sum(ratios) / len(ratios), "channels": carrying_share(torch.cat(own))}


def carrying_share(changes: torch.Tensor) -> float:
    """Return the smallest share of channels (channels,) that carries 90 % of the sum."""
    summed = changes.sort(descending=True).values.cumsum(0)
    count = int((summed < CARRIED * summed[-1]).sum()) + 1
    return min(count, len(changes)) / len(changes)
