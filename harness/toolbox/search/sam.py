"""Sharpness-aware minimisation: gradients at nearby weights with a higher loss.

Foret et al., arXiv 2010.01412; the adaptive form is ASAM, Kwon et al., arXiv 2102.11600.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

EPS = 1e-12
Tensors = Sequence[torch.Tensor]


def sam_ascent(
    weights: Tensors, gradients: Tensors, rho: float, *, adaptive: bool = False
) -> list[torch.Tensor]:
    """Return the step from ``weights`` towards the highest loss nearby, one tensor per weight.

    rho g / ||g||, with the norm over all tensors; adaptive: rho w^2 g / || |w| g ||.
    """
    if not adaptive:
        scale = rho / (_norm(gradients) + EPS)
        return [g * scale for g in gradients]
    scale = rho / (
        _norm([w.detach().abs() * g for w, g in zip(weights, gradients, strict=True)]) + EPS
    )
    return [w.detach() ** 2 * g * scale for w, g in zip(weights, gradients, strict=True)]


def _norm(tensors: Tensors) -> torch.Tensor:
    norm: torch.Tensor = torch.stack([tensor.norm() for tensor in tensors]).norm()
    return norm


@contextmanager
def displaced_weights(weights: Tensors, steps: Tensors) -> Iterator[None]:
    """Move the weights by the steps inside the block; restore them to the bit after it."""
    before = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for w, step in zip(weights, steps, strict=True):
            w.add_(step)
    try:
        yield
    finally:
        with torch.no_grad():
            for w, old in zip(weights, before, strict=True):
                w.copy_(old)


def set_gradients(weights: Tensors, gradients: Tensors) -> None:
    """Set the ``grad`` of every weight, which an optimiser reads."""
    for w, g in zip(weights, gradients, strict=True):
        w.grad = g
