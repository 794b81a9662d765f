"""The scale on which a network sees its images."""

from __future__ import annotations

import torch
from torch import nn

from harness.network import Normalise


def pixel_unit(network: nn.Module) -> torch.Tensor:
    """Return the pixel values (C, 1, 1) that count as 1 on the network's normalised input."""
    for module in network.modules():
        if isinstance(module, Normalise):
            return module.std
    return next(network.parameters()).new_ones(1, 1, 1)
