"""Searches perturbations of images by gradient descent on a loss."""

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
    """Minimise a loss of a perturbation, in place, and return the perturbation detached.

    Args:
        delta: a leaf of any shape, clipped to [-bound, bound] after every step.
        loss: returns a scalar; gradients of no tensor but ``delta`` are set.
        optimiser: over ``delta`` alone.
        steps: of the optimiser.
        bound: the largest absolute value; infinity for none.
    """
    for _ in range(steps):
        (delta.grad,) = torch.autograd.grad(loss(delta), delta)
        optimiser.step()
        with torch.no_grad():
            delta.clamp_(-bound, bound)
    return delta.detach()


def clip_pixels(images: torch.Tensor) -> torch.Tensor:
    """Return images clipped to [0, 1]; the gradient at 0 and at 1 themselves is 1.

    That of torch's ``clamp`` is 0 there in some versions, so that black and white pixels would
    never begin to move.
    """
    return torch.where(images < 0, 0.0, torch.where(images > 1, 1.0, images))


def sign_sgd(delta: torch.Tensor, lr: float) -> torch.optim.Optimizer:
    """Return an optimiser that moves ``delta`` by ``lr`` against the sign of its gradient."""
    delta.register_hook(torch.sign)
    return torch.optim.SGD([delta], lr)
