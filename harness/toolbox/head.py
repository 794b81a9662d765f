"""The classifier of a network: its linear layers after the features."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def classifier(model: nn.Module) -> list[nn.Linear]:
    """Return the linear layers after the last convolution or normalisation, by definition order.

    Raises:
        ValueError: there are none.
    """
    linears: list[nn.Linear] = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | _BatchNorm | nn.LayerNorm | nn.GroupNorm):
            linears = []
        elif isinstance(module, nn.Linear):
            linears.append(module)
    if not linears:
        raise ValueError("this network has no linear layer after its features")
    return linears
