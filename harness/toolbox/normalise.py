"""The scale on which a network sees its images."""

from __future__ import annotations

import torch
from torch import nn


class Normalise(nn.Module):
    """(x - mean) / std per channel, for images (N, C, H, W) in [0, 1]; its state dict is empty."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images."""
        return (images - self.mean) / self.std


def normalisation(network: nn.Module) -> Normalise:
    """Return a network's normalisation, or one that changes nothing if it has none."""
    own = _own_normalisation(network)
    return Normalise((0.0,), (1.0,)).to(next(network.parameters()).device) if own is None else own


def pixel_unit(network: nn.Module) -> torch.Tensor:
    """Return what 1 on the network's normalised input is in pixel values, (C, 1, 1).

    Ones (1, 1, 1) for a network that does not normalise.
    """
    own = _own_normalisation(network)
    return next(network.parameters()).new_ones(1, 1, 1) if own is None else own.std


def _own_normalisation(network: nn.Module) -> Normalise | None:
    return next((x for x in network.modules() if isinstance(x, Normalise)), None)
