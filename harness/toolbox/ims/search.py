"""The inner search of IMS, for images that f and the inverse network take for another class."""

from __future__ import annotations

import copy
import warnings
from contextlib import nullcontext
from functools import partial

import torch
from torch import nn

from harness.contract import InvertibleMasks
from harness.toolbox.graphed_step import GraphedStep
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    VictimBatch,
    agree,
    disagree,
    probabilities,
)
from harness.toolbox.numerics import numerics
from harness.toolbox.search.adversarial import minimise_perturbation

CAPTURABLE = "This instance was constructed with capturable=True"
"""How torch begins a warning about an optimiser that runs without a graph, which ours may."""


class PerturbationSearch:
    """Searches images x' that change the prediction of f and of the inverse network alike.

    The perturbations are added to pixel values in [0, 1]; the sum is not clipped to that range.
    """

    def __init__(self, networks: Networks, hyper: InvertibleMasks, device: torch.device) -> None:
        self.networks = networks
        self._dtype = torch.bfloat16 if hyper.bf16_search else torch.float32
        self._hyper = hyper
        self._device = device
        self._inverse: nn.Module | None = None
        """The same network in every search, with weights written in place: a graph reads them."""
        self._search: GraphedStep | None = None

    def __call__(self, masks: MaskPair, batch: VictimBatch) -> torch.Tensor:
        """Return the images x', (n, C, H, W)."""
        inverse = self._cast(self.networks.folded_inverse(masks))
        if self._search is None or self._inverse is None:
            self._inverse = inverse
            reference = self._cast(self.networks.reference)
            step = partial(_perturbed, reference, inverse, self._hyper)
            self._search = GraphedStep(step, self._device)
        else:
            _write_tensors(self._inverse, inverse)
        (shifted,) = self._search(batch.x, batch.clean)
        return shifted

    def _cast(self, network: nn.Module) -> nn.Module:
        """Return a network with the layers that autocast would cast in every step cast once."""
        if self._dtype == torch.float32:
            return network
        copied = copy.deepcopy(network)
        for layer in copied.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.to(self._dtype)
        return copied


def _perturbed(
    reference: nn.Module,
    inverse: nn.Module,
    hyper: InvertibleMasks,
    x: torch.Tensor,
    clean: torch.Tensor,
) -> tuple[torch.Tensor]:
    """Return x'; ``reference`` is f, and ``clean`` its class probabilities of x."""

    def loss(delta: torch.Tensor) -> torch.Tensor:
        shifted = probabilities(reference(x + delta))
        losses = agree(probabilities(inverse(x + delta)), shifted) + disagree(shifted, clean)
        return losses.mean()

    delta = torch.zeros_like(x, requires_grad=True)
    optimiser = torch.optim.AdamW([delta], hyper.inner_lr, capturable=x.device.type == "cuda")
    arithmetic = numerics("bf16", x.device) if hyper.bf16_search else nullcontext()
    with arithmetic, warnings.catch_warnings():
        warnings.filterwarnings("ignore", CAPTURABLE)
        return (x + minimise_perturbation(delta, loss, optimiser, hyper.inner_steps, hyper.bound),)


@torch.no_grad()
def _write_tensors(network: nn.Module, source: nn.Module) -> None:
    """Copy all parameters and buffers of ``source`` into a network of the same layers."""
    for one, other in ((network.parameters, source.parameters), (network.buffers, source.buffers)):
        for tensor, value in zip(one(), other(), strict=True):
            tensor.copy_(value)
