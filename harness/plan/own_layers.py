"""Looks at a network of the user's own for the layers that defenses work on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.contract.types import Layer

if TYPE_CHECKING:
    from torch import nn

CHANNELS, CLASSES = (3, 1), 10
"""The images and classes that a network is built for, to look at it; the first that it takes."""


def layers_of(build: Callable[[int, int], Any]) -> tuple[Layer, ...] | None:
    """Return what the layers of a network are, or None if it can't be built.

    The patch embedding of a transformer, whose stride is its kernel, does not count as a
    convolution. The state of torch's random generator stays as it is.

    Args:
        build: returns the network for a number of channels and of classes.
    """
    import torch

    for channels in CHANNELS:
        try:
            with torch.random.fork_rng(devices=[]):
                return _layers(list(build(channels, CLASSES).modules()))
        except (Exception, SystemExit):  # whatever the user's function raises, later it is reported
            continue
    return None


def _layers(modules: list[nn.Module]) -> tuple[Layer, ...]:
    from torch import nn

    convolutions = [x for x in modules if isinstance(x, nn.Conv2d)]
    kinds: dict[Layer, bool] = {
        "convolutions": any(x.kernel_size != x.stride or max(x.stride) == 1 for x in convolutions),
        "batchnorm": any(isinstance(x, nn.BatchNorm2d) for x in modules),
        "encoder-blocks": any(isinstance(x, nn.MultiheadAttention) for x in modules),
    }
    return tuple(kind for kind, present in kinds.items() if present)
