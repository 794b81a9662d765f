"""Implicit hypergradients by fixed-point iteration (Grazzi et al., arXiv 2006.16218)."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def hypergradient(
    outer: torch.Tensor,
    mapped: torch.Tensor,
    inner: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    iterations: int,
) -> list[torch.Tensor]:
    """Return the gradient of an outer loss through the solution of an inner problem.

    Args:
        outer: scalar loss of ``inner`` and ``parameters``.
        mapped: Phi(inner, parameters), of the shape of ``inner`` and with its graph: one step of
            the inner solver; ``inner`` is assumed to be its fixed point.
        inner: leaf, any shape.
        parameters: leaves.
        iterations: how often v <- (dPhi/dinner)^T v + douter/dinner is applied, from v = 0; K
            iterations equal K unrolled steps.

    Returns:
        one gradient per parameter.
    """
    pull, *direct = torch.autograd.grad(outer, [inner, *parameters], materialize_grads=True)
    v = torch.zeros_like(inner)
    for _ in range(iterations):
        v = torch.autograd.grad(mapped, inner, v, retain_graph=True)[0] + pull
    through = torch.autograd.grad(mapped, parameters, v, materialize_grads=True)
    return [d + t for d, t in zip(direct, through, strict=True)]
