"""One gate per output channel of every convolution, applied before batch norm; folds exactly into weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

Gates = dict[str, torch.Tensor]


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return every convolution of a model by name: stem, shortcuts and depthwise ones too."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def split(flat: torch.Tensor, model: nn.Module) -> Gates:
    """Cut one value per channel, (sum of channels,), into one tensor per convolution, (channels,)."""
    layers = convolutions(model)
    parts = flat.split([layer.out_channels for layer in layers.values()])
    return dict(zip(layers, parts, strict=True))


class GatedNetwork:
    """A frozen copy of a model with a gate on every convolution; gradients reach the gates."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._gates: Gates = {}
        for name, layer in convolutions(self.model).items():
            layer.register_forward_hook(self._gate(name))

    def _gate(self, name: str) -> Any:
        return lambda module, inputs, out: out * self._gates[name].view(-1, 1, 1)

    def __call__(self, images: torch.Tensor, gates: Gates) -> torch.Tensor:
        """Return logits under the given gates, each (channels,)."""
        self._gates = gates
        logits: torch.Tensor = self.model(images)
        return logits


@torch.no_grad()
def folded(model: nn.Module, gates: Gates) -> nn.Module:
    """Return a plain copy of the model with the gates multiplied into weights and biases."""
    plain = copy.deepcopy(model)
    for name, layer in convolutions(plain).items():
        gate = gates[name].detach()
        layer.weight.mul_(gate.view(-1, 1, 1, 1))
        if layer.bias is not None:
            layer.bias.mul_(gate)
    return plain
