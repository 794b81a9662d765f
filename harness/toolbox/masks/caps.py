"""Upper bounds on activations, and where a network's activations are.

The sites are a network's activation modules (ReLU, SiLU, GELU and so on). A network without any,
such as a pre-activation one, applies ReLU to the output of its batch norms, and these are its
sites: for a cap c >= 0, relu(min(z, c)) = min(relu(z), c), and its activations are the relu(z).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish)
Caps = dict[str, list[torch.Tensor]]
"""For every site by name one tensor for each time that it runs in a forward pass; each broadcasts
over the site's output for one sample."""


class Capped(nn.Module):
    """A module whose outputs are at most its caps, and at most 0 where a cap is below 0.

    A module that runs several times in a forward pass, as the ReLU of a residual block does, has a
    cap for each time.
    """

    def __init__(self, module: nn.Module, caps: list[torch.Tensor]) -> None:
        super().__init__()
        self.module = module
        self.count, self._next = len(caps), 0
        for number, cap in enumerate(caps):
            self.register_buffer(f"cap{number}", cap)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the capped output."""
        cap: torch.Tensor = getattr(self, f"cap{self._next}")
        self._next = (self._next + 1) % self.count
        # relu, as the gradient of clamp_min at its bound depends on the version of torch
        return torch.minimum(self.module(x), cap.relu())


def with_caps(model: nn.Module, caps: Caps) -> nn.Module:
    """Return a copy of the model with caps at its sites; gradients reach the tensors in ``caps``.

    Its state dict loads into ``with_caps(fresh model, caps of any value)``, not into a plain model.
    """
    copied = copy.deepcopy(model)
    for name, tensors in caps.items():
        parent, _, child = name.rpartition(".")
        setattr(copied.get_submodule(parent), child, Capped(copied.get_submodule(name), tensors))
    return copied


@torch.no_grad()
def activations(model: nn.Module, images: torch.Tensor) -> Caps:
    """Return the activations of every site, (n, ...) each, in the order in which sites first run.

    Raises:
        ValueError: the network has neither activation modules nor batch norms.
    """
    outputs: Caps = defaultdict(list)

    def keep_output(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, out: torch.Tensor) -> None:
            outputs[name].append(out.relu() if isinstance(module, _BatchNorm) else out.clone())

        return hook

    hooks = [
        model.get_submodule(name).register_forward_hook(keep_output(name)) for name in _sites(model)
    ]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    return dict(outputs)


def _sites(model: nn.Module) -> list[str]:
    modules = dict(model.named_modules())
    for kinds in (ACTIVATIONS, _BatchNorm):
        names = [name for name, module in modules.items() if isinstance(module, kinds)]
        if names:
            return names
    raise ValueError("this network has no activation modules and no batch norms to cap")
