"""Gates: one factor per channel where a network can be cut, and networks with gates.

The gates sit on the output of every convolution, before batch norm, or on the output of every
encoder block, along the embedding. On convolutions they fold exactly into weights, and a plain
model remains; on blocks a small wrapper carries them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Gates = dict[str, torch.Tensor]
"""Gates (width,) for every gated module by its name."""


@dataclass(frozen=True)
class GateSites:
    """Where the gates of a model sit."""

    widths: dict[str, int]
    """Gates per module, by the module's name."""
    view: tuple[int, ...]
    """The shape in which a gate (width,) broadcasts over the module's output for one sample."""
    with_gates: Callable[[nn.Module, Gates], nn.Module]
    """Returns a copy of a model with gates that are part of it."""

    def count(self) -> int:
        """Return the number of gates."""
        return sum(self.widths.values())

    def split(self, flat: torch.Tensor) -> Gates:
        """Cut one value per gate, (count,), into one tensor per module, (width,)."""
        return dict(zip(self.widths, flat.split(list(self.widths.values())), strict=True))


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return every convolution of a model by name; stem, shortcuts and depthwise ones included."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def convolution_sites(model: nn.Module) -> GateSites:
    """Return a gate for every output channel of every convolution."""
    widths = {name: layer.out_channels for name, layer in convolutions(model).items()}
    return GateSites(widths, (-1, 1, 1), with_folded_gates)


def block_sites(model: nn.Module) -> GateSites:
    """Return a gate for every embedding dimension after every encoder block.

    An encoder block is a module that holds an ``nn.MultiheadAttention`` of its own; its output is
    (N, tokens, embedding).
    """
    widths = {
        name: child.embed_dim
        for name, module in model.named_modules()
        for child in module.children()
        if isinstance(child, nn.MultiheadAttention)
    }
    return GateSites(widths, (1, -1), with_gated_blocks)


class GatedNetwork:
    """A frozen copy of a model with gates at its sites; gradients reach the gates."""

    def __init__(self, model: nn.Module, sites: GateSites) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._sites = sites
        self._gates: Gates = {}
        for name in sites.widths:
            hook = _multiply_by_gate(self._gates, name, sites.view)
            self.model.get_submodule(name).register_forward_hook(hook)

    def __call__(self, images: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """Return logits under gates, (count,)."""
        self._gates.update(self._sites.split(flat))
        logits: torch.Tensor = self.model(images)
        return logits


def _multiply_by_gate(gates: Gates, name: str, view: tuple[int, ...]) -> Callable[..., Any]:
    """Return the hook of a module: it holds the gates alone, so that no reference cycle arises."""

    def hook(module: nn.Module, inputs: Any, out: torch.Tensor) -> torch.Tensor:
        return out * gates[name].view(view)

    return hook


@torch.no_grad()
def with_folded_gates(model: nn.Module, gates: Gates) -> nn.Module:
    """Return a plain copy with the gates multiplied into its convolutions' weights and biases."""
    plain = copy.deepcopy(model)
    for name, layer in convolutions(plain).items():
        gate = gates[name].detach()
        layer.weight.mul_(gate.view(-1, 1, 1, 1))
        if layer.bias is not None:
            layer.bias.mul_(gate)
    return plain


class GatedBlock(nn.Module):
    """A module whose output (..., width) is multiplied by a gate, which its state dict keeps."""

    gate: torch.Tensor

    def __init__(self, block: nn.Module, gate: torch.Tensor) -> None:
        super().__init__()
        self.block = block
        self.register_buffer("gate", gate.detach().clone())

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the gated output."""
        out: torch.Tensor = self.block(*args, **kwargs) * self.gate
        return out


def with_gated_blocks(model: nn.Module, gates: Gates) -> nn.Module:
    """Return a copy of the model with every named module inside a ``GatedBlock``.

    Its state dict loads into ``with_gated_blocks(fresh model, gates of any value)``.
    """
    copied = copy.deepcopy(model)
    for name, gate in gates.items():
        parent, _, child = name.rpartition(".")
        setattr(copied.get_submodule(parent), child, GatedBlock(copied.get_submodule(name), gate))
    return copied
