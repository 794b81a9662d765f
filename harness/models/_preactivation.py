"""The pre-activation residual block (batch norm before convolution), for two architectures."""

from __future__ import annotations

import torch
from torch import nn


class PreactivationBlock(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut: (N, C_in, H, W) -> (N, C, H/s, W/s).

    s is the stride. ``nested``: the shortcut's convolution is inside a Sequential, which matters
    only for its name in the state dict.
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
        residual = x if self.shortcut is None else self.shortcut(active)
        out: torch.Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active)))) + residual
        return out


def preactivation_stage(inputs: int, channels: int, stride: int, *, nested: bool) -> nn.Sequential:
    """Return two blocks; the first changes channels and size."""
    return nn.Sequential(
        PreactivationBlock(inputs, channels, stride, nested=nested),
        PreactivationBlock(channels, channels, 1, nested=nested),
    )
