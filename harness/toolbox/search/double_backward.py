"""Makes networks twice differentiable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Make a network twice differentiable inside the block.

    Operations that torch differentiates only once are replaced by equivalent ones: fused attention,
    on transformers, and the hard sigmoid, in the gates of MobileNetV3.
    """
    hard_sigmoids = [module for module in model.modules() if isinstance(module, nn.Hardsigmoid)]
    for module in hard_sigmoids:
        module.forward = _hard_sigmoid  # type: ignore[method-assign,assignment]
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for module in hard_sigmoids:
            del module.forward


def _hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return F.relu6(x + 3) / 6
