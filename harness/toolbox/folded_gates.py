"""Finds the gates that a defense has folded into weights, by comparing them with the victim's."""

from __future__ import annotations

import torch
from torch import nn

from harness.toolbox.masks.batchnorm import batchnorm_layers
from harness.toolbox.masks.channel_gates import convolutions

TOLERANCE = 1e-3
"""A channel is gated if it is a multiple of the victim's, but for this share of its norm."""


@torch.no_grad()
def folded_gates(model: nn.Module, victim: nn.Module) -> dict[str, torch.Tensor]:
    """Return the factor of every output channel against the victim's, by the weight's name.

    A factor of 1 is given to channels that are no multiple of the victim's. Scales of batch norm
    are compared only where no convolution was trained; elsewhere their gates are 0, for channels
    that were cut, or 1. The factors broadcast over the weight.
    """
    before = dict(victim.named_parameters())
    gates: dict[str, torch.Tensor] = {}
    untrained = True
    for name, layer in convolutions(model).items():
        old = before.get(f"{name}.weight")
        if old is not None and old.shape == layer.weight.shape:
            gate, fits = _multiples(layer.weight.flatten(1), old.flatten(1))
            untrained = untrained and bool(fits.all())
            gates[f"{name}.weight"] = gate.view(-1, 1, 1, 1)
    for name, norm in batchnorm_layers(model):
        old = before.get(f"{name}.weight")
        if old is not None and old.shape == norm.weight.shape:
            ratio = norm.weight / torch.where(old == 0, 1, old)
            gates[f"{name}.weight"] = ratio if untrained else (norm.weight != 0).float()
    return gates


def _multiples(rows: torch.Tensor, old: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which multiple each row is of the old one, 1 where it is none, and whether it is."""
    factor = (rows * old).sum(1) / old.square().sum(1).clamp_min(1e-30)
    fits = (rows - factor[:, None] * old).norm(dim=1) <= TOLERANCE * rows.norm(dim=1)
    return torch.where(fits, factor, 1.0), fits
