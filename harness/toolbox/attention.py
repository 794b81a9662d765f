"""Attention maps and their distillation (Zagoruyko, Komodakis, arXiv 1612.03928)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-6


def attention_map(features: torch.Tensor, power: float) -> torch.Tensor:
    """Return the attention maps of feature maps: (n, C, H, W) -> (n, H, W).

    The sum over channels of |features|^power, divided by its L2 norm.
    """
    energy = features.abs().pow(power).sum(1)
    norm: torch.Tensor = energy.norm(dim=(1, 2), keepdim=True)
    return energy / (norm + EPS)


def attention_distance(student: torch.Tensor, teacher: torch.Tensor, power: float) -> torch.Tensor:
    """Return the mean squared difference of the attention maps of one layer, a scalar.

    ``student`` and ``teacher`` are feature maps (n, C, H, W); no gradient reaches the teacher.
    """
    return F.mse_loss(attention_map(student, power), attention_map(teacher, power).detach())


class FeatureMaps:
    """A model that also returns the outputs of some of its modules, (n, C, H, W) each."""

    def __init__(self, model: nn.Module, modules: list[str]) -> None:
        self.model = model
        self.modules = modules
        self._maps: dict[str, torch.Tensor] = {}
        self._hooks = [
            model.get_submodule(name).register_forward_hook(self._store_output(name))
            for name in modules
        ]

    def _store_output(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: object, out: torch.Tensor) -> None:
            self._maps[name] = out

        return hook

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits (n, classes), and the feature maps in the order of ``modules``."""
        logits = self.model(images)
        return logits, [self._maps[name] for name in self.modules]

    def remove(self) -> None:
        """Remove the hooks from the model."""
        for hook in self._hooks:
            hook.remove()


@torch.no_grad()
def last_map_modules(model: nn.Module, image: torch.Tensor, count: int) -> list[str]:
    """Name the modules with the last feature map at each of the last ``count`` resolutions.

    The order is that of the forward pass.

    ``image`` is (1, C, H, W). Modules without a convolution
    inside do not count, nor do maps of one position. On residual networks these are the last
    stages.
    """
    last: dict[torch.Size, str] = {}

    def note_resolution(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, out: object) -> None:
            if isinstance(out, torch.Tensor) and out.ndim == 4 and out[0, 0].numel() > 1:
                last.pop(out.shape[2:], None)
                last[out.shape[2:]] = name

        return hook

    hooks = [
        module.register_forward_hook(note_resolution(name))
        for name, module in model.named_modules()
        if any(isinstance(inner, nn.Conv2d) for inner in module.modules())
    ]
    model.eval()(image)
    for hook in hooks:
        hook.remove()
    return list(last.values())[-count:]
