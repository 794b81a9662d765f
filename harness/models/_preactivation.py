"""The residual block that normalises before it convolves, of PreActResNets and wide residual networks."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut: (N, C_in, H, W) -> (N, C, H/stride, W/stride).

    ``nested``: the shortcut's convolution lies in a Sequential, which only its name in the state
    dict shows.
    """

    def __init__(self, inputs: int, channels: int, stride: int, *, nested: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != channels:
            shortcut = nn.Conv2d(inputs, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(shortcut) if nested else shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        active = torch.relu(self.bn1(x))
        passed = x if self.shortcut is None else self.shortcut(active)
        out: torch.Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active)))) + passed
        return out


def stage(inputs: int, channels: int, stride: int, *, nested: bool) -> nn.Sequential:
    """Return two blocks; the first changes channels and size."""
    return nn.Sequential(
        Block(inputs, channels, stride, nested=nested), Block(channels, channels, 1, nested=nested)
    )
