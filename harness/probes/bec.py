"""BEC, the backdoor existence coefficient: how much of the backdoor's activations are still there?

Zhu, Liang, Wu, "Breaking the False Sense of Security in Backdoor Defense through Re-Activation
Attack" (NeurIPS 2024), arXiv 2405.16134. In every convolution of the victim the channels that the
trigger changes most, relative to their norm, carry the backdoor: the top 10 %. On these, linear
centred kernel alignment (CKA) compares the outputs on triggered images of the victim with those of
another model; the mean over layers is CKA. Then

    BEC = (CKA of the defended model - CKA of the clean model) / (1 - CKA of the clean model),

clipped to [0, 1]: 1 for the victim itself, 0 for the clean model. Departure: the authors divide by
the range over all defenses of their comparison, so that a value depends on the others in it.
Shortcuts (1x1 convolutions) are left out, as by the authors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Attacker, Context, Count, Numbers, Quantity, Share, probe
from harness.toolbox import activation_changes, channel_outputs, thinned


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Channels and images."""

    top: Share = 0.1
    """The share of a layer's channels that is compared, at least one."""
    images: Count = 500


@probe(
    paper="Breaking the False Sense of Security in Backdoor Defense through Re-Activation Attack, "
    "arXiv 2405.16134",
    year=2024,
    version=1,
    display_name="BEC",
    numbers={"bec": Quantity("BEC", -1), "cka": Quantity("CKA", -1)},
    trigger=False,
    clean_model=True,
    requires="convolutions",
)
def bec(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Compare the backdoor's channels of three models."""
    test, clean = attacker.test, attacker.train.clean_model
    assert clean is not None
    some = thinned(len(test.wanted), hyper.images)
    images = test.triggered[some]
    changes = activation_changes(attacker.victim, test.untriggered[some], images, relative=True)
    chosen = [change.topk(max(1, round(hyper.top * len(change)))).indices for change in changes]
    reference = channel_outputs(attacker.victim, images, chosen)
    own, base = (
        mean_cka(reference, channel_outputs(network, images, chosen)) for network in (model, clean)
    )
    return {"bec": min(1.0, max(0.0, (own - base) / max(1 - base, 1e-12))), "cka": own}


def mean_cka(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Return the mean over layers of the CKA of outputs, (n, features) each."""
    values = [linear_cka(x, y) for x, y in zip(one, other, strict=True)]
    return sum(values) / len(values)


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return linear CKA of features (n, p) and (n, q): 1 if they are equal up to a rotation."""
    x, y = x - x.mean(0), y - y.mean(0)
    gram_x, gram_y = x @ x.T, y @ y.T
    norms = gram_x.norm() * gram_y.norm()
    return float((gram_x * gram_y).sum() / norms.clamp_min(1e-12))
