"""A network in two parts: features, and the linear layers of the classifier after them."""

from __future__ import annotations

from typing import Any

import torch
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


class HeadInputs:
    """A model that also returns the input of its last linear layer, the pooled features."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.head = classifier(model)[-1]
        self._hook = self.head.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any) -> None:
        self._features: torch.Tensor = inputs[0]

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and features (n, width)."""
        logits = self.model(images)
        return logits, self._features

    def remove(self) -> None:
        """Remove the hook from the model."""
        self._hook.remove()
