"""Perturbations of images, found by descent on a loss."""

from __future__ import annotations

from collections.abc import Callable

import torch


def minimise_perturbation(
    delta: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    steps: int,
    bound: float,
) -> torch.Tensor:
    """Move ``delta``, a leaf of any shape, in place for some steps, and return it detached.

    After every step it is clipped to [-bound, bound]. ``optimiser`` holds ``delta`` alone; no other
    tensor's gradient is touched.
    """
    for _ in range(steps):
        (delta.grad,) = torch.autograd.grad(loss(delta), delta)
        optimiser.step()
        with torch.no_grad():
            delta.clamp_(-bound, bound)
    return delta.detach()


def sign_sgd(delta: torch.Tensor, lr: float) -> torch.optim.Optimizer:
    """Return an optimiser that moves every element of ``delta`` by ``lr`` against its gradient's sign."""
    delta.register_hook(torch.sign)
    return torch.optim.SGD([delta], lr)
