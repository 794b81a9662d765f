"""A step that is not timed, before methods are."""

from __future__ import annotations

import copy

import torch
from torch import nn

FEW = 8
"""Images in the step, each twice, as batch norm needs two."""


def warm_up(model: nn.Module, images: torch.Tensor) -> None:
    """Run a forward and a backward pass of a copy of a network.

    What a device loads and plans on its first use is then in no method's seconds. ``images`` are
    float (n, C, H, W), at least one.
    """
    copied = copy.deepcopy(model).train().requires_grad_()
    with torch.enable_grad():
        copied(torch.cat([images[:FEW]] * 2)).logsumexp(1).mean().backward()
