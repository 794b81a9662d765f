"""The losses of IMS (arXiv 2509.15497): invertible masks with selection, learned in three stages.

Every gate has a raw mask a and a selection s in [0, 1], both 1 at first. With
sig(a) = sigmoid(k (a - 1/2)), the mask is 1 - (1 - s)(1 - sig(a)) and the inverse mask 1 - (1 - s)
sig(a): where s = 1 a channel serves both networks, where s = 0 the gates are complementary. f_m,
the network under the mask, learns to keep the clean task; f_i, under the inverse mask, learns to
keep only the backdoor, and it guides an inner search for perturbations x' of clean images that act
like the unknown trigger. There are three stages, one after the other:

A  agree(f_m(x), f(x)) + disagree(f_i(x), f(x)) + lambda mean |1 - s|
B  agree(f_m(x), f(x)) + disagree(f_i(x), f(x))
   + agree(f_m(x'), f(x)) + agree(f_i(x'), f(x')) + disagree(f_i(x'), f(x))
C  B + lambda mean |1 - s|

where agree(u, v) = -log <softmax u, softmax v> and disagree(u, v) = -log(1 - <softmax u, softmax
v>). The inner search minimises agree(f_i(x'), f(x')) + disagree(f(x'), f(x)), from the start for
every batch; x' is a constant of the outer step.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from harness.toolbox.masks.channel_gates import GatedNetwork, GateSites
from harness.toolbox.masks.fold_batchnorm import fold_constants_, foldable_pairs

EPS = 1e-8


@dataclass
class MaskPair:
    """The learned raw masks ``a`` and selections ``s`` of all gates, flat, (gates,) each."""

    a: torch.Tensor
    s: torch.Tensor
    k: float
    """Sharpness of the sigmoid."""

    def mask(self) -> torch.Tensor:
        """Return the gates of the cleaned network."""
        return 1 - (1 - self.s) * (1 - self._sig())

    def inverse(self) -> torch.Tensor:
        """Return the gates of the inverse network; mask + inverse = 1 + s."""
        return 1 - (1 - self.s) * self._sig()

    def _sig(self) -> torch.Tensor:
        return torch.sigmoid(self.k * (self.a - 0.5))


class Networks:
    """The frozen victim f, and the copies of it that are run.

    ``reference`` is f with constants in place of its batch norms, ``gated`` is f with gates.

    Args:
        model: the victim; it is put into eval mode and frozen.
        sites: where the gates sit.
        images: float (n, C, H, W), for one forward pass that shows how the layers are connected.
    """

    def __init__(self, model: nn.Module, sites: GateSites, images: torch.Tensor) -> None:
        self.victim = model.eval().requires_grad_(False)
        self.sites = sites
        self._pairs = foldable_pairs(model, images[:1])
        self.reference = fold_constants_(copy.deepcopy(model), self._pairs)
        self.gated = GatedNetwork(fold_constants_(copy.deepcopy(model), {}), sites)

    def with_gates(self, flat: torch.Tensor) -> nn.Module:
        """Return a copy of f with gates, (gates,), as a part of it."""
        return self.sites.with_gates(self.victim, self.sites.split(flat.detach()))

    def folded_inverse(self, masks: MaskPair) -> nn.Module:
        """Return the inverse network, its gates and batch norms folded into its weights."""
        return fold_constants_(self.with_gates(masks.inverse()), self._pairs)


class VictimBatch(NamedTuple):
    """The images of a round, and what f predicts for them."""

    x: torch.Tensor
    """(n, C, H, W)."""
    clean: torch.Tensor
    """Class probabilities of f, (n, classes)."""


def add_gradients(
    networks: Networks,
    masks: MaskPair,
    batch: VictimBatch,
    shifted: torch.Tensor | None,
    sparsity: float,
) -> torch.Tensor:
    """Add the gradient of a stage's loss to those of the masks; return the loss, a scalar.

    One of the two networks is in memory at a time. ``shifted`` are the perturbed images x', None in
    stage A; ``sparsity`` is lambda.
    """
    inverse = _inverse_losses(networks, masks, batch, shifted)
    penalty = sparsity * selection_penalty(masks)
    _sum([*inverse, penalty]).backward()
    masked = _masked_losses(networks, masks, batch, shifted)
    _sum(masked).backward()
    return _sum([*masked, *inverse, penalty]).detach()


def _sum(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of scalars, added from the first to the last."""
    return functools.reduce(torch.add, terms)


def _masked_losses(
    networks: Networks, masks: MaskPair, batch: VictimBatch, shifted: torch.Tensor | None
) -> list[torch.Tensor]:
    """Return the terms of f_m, a scalar each."""
    images = batch.x if shifted is None else torch.cat([batch.x, shifted])
    outputs = probabilities(networks.gated(images, masks.mask())).split(len(batch.x))
    return [agree(output, batch.clean).mean() for output in outputs]


def _inverse_losses(
    networks: Networks, masks: MaskPair, batch: VictimBatch, shifted: torch.Tensor | None
) -> list[torch.Tensor]:
    """Return the terms of f_i, a scalar each."""
    if shifted is None:
        output = probabilities(networks.gated(batch.x, masks.inverse()))
        return [disagree(output, batch.clean).mean()]
    images = torch.cat([batch.x, shifted])
    at_x, at_shifted = probabilities(networks.gated(images, masks.inverse())).chunk(2)
    with torch.no_grad():
        clean_shifted = probabilities(networks.reference(shifted))
    return [
        agree(at_shifted, clean_shifted).mean(),
        disagree(at_shifted, batch.clean).mean(),
        disagree(at_x, batch.clean).mean(),
    ]


def selection_penalty(masks: MaskPair) -> torch.Tensor:
    """Return the mean of |1 - s|.

    Where s = 1 its gradient is 0, so that it does not keep a gate there.
    """
    return (1 - masks.s).abs().mean()


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return class probabilities, (n, classes)."""
    return logits.float().softmax(1)


def agree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return -log of the overlap of two batches of class probabilities, (n,)."""
    return -((u * v).sum(1) + EPS).log()


def disagree(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return -log(1 - overlap) of two batches of class probabilities, (n,).

    Rounding can take the overlap above 1, where the logarithm is undefined. The value is then that
    of an overlap of exactly 1. The gradient is not clamped anywhere, because confident images have
    an overlap of 1.
    """
    rest = 1 - (u * v).sum(1)
    above_one = (-rest).relu().detach()
    return -(rest + above_one + EPS).log()
