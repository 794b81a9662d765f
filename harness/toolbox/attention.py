"""Feature maps, and the distillation of attention (Zagoruyko, Komodakis, arXiv 1612.03928)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-6
POOLING = (
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
)


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
        return logits, self.latest()

    def latest(self) -> list[torch.Tensor]:
        """Return the feature maps of the model's last forward pass, whoever called it."""
        return [self._maps[name] for name in self.modules]

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


@torch.no_grad()
def last_map_module(model: nn.Module, image: torch.Tensor) -> str:
    """Name the module with the last feature map before pooling and classifier.

    ``image`` is (1, C, H, W). The map may have one position; pooling and dropout do not count.

    Raises:
        ValueError: no module returns a feature map.
    """
    last = ""

    def note_name(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, out: object) -> None:
            nonlocal last
            if isinstance(out, torch.Tensor) and out.ndim == 4 and not isinstance(module, POOLING):
                last = name

        return hook

    modules = {name: module for name, module in model.named_modules() if name}
    hooks = [module.register_forward_hook(note_name(name)) for name, module in modules.items()]
    model.eval()(image)
    for hook in hooks:
        hook.remove()
    if not last:
        raise ValueError("this network has no feature maps")
    return last


@contextmanager
def output_times(module: nn.Module, factor: torch.Tensor) -> Iterator[None]:
    """Multiply a module's output by a factor inside the block; gradients reach the factor."""
    hook = module.register_forward_hook(lambda module, inputs, out: out * factor)
    try:
        yield
    finally:
        hook.remove()
