"""PreActResNet18 for small images, as BackdoorBench and the IMS study use it.

Pre-activation residual network (BN, ReLU, convolution), 3x3 stem without pooling, four stages of two
blocks; global average pooling and one linear layer. There is no BN after the last block. At width 64 and
10 classes the state dict has 102 keys and 11,171,146 parameters, under BackdoorBench's names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Count, model


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Channels of the stem; the four stages have 1, 2, 4 and 8 times as many."""

    width: Count = 64


class Block(nn.Module):
    """Two pre-activated 3x3 convolutions and a shortcut: (N, C_in, H, W) -> (N, C, H/stride, W/stride)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or inputs != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        active = torch.relu(self.bn1(x))
        passed = x if self.shortcut is None else self.shortcut(active)
        out: torch.Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active)))) + passed
        return out


class PreActResNet(nn.Module):
    """Stem, four stages, pooled features, logits: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.layer1 = self._stage(width, width, 1)
        self.layer2 = self._stage(width, 2 * width, 2)
        self.layer3 = self._stage(2 * width, 4 * width, 2)
        self.layer4 = self._stage(4 * width, 8 * width, 2)
        self.linear = nn.Linear(8 * width, classes)

    @staticmethod
    def _stage(inputs: int, channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(Block(inputs, channels, stride), Block(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        logits: torch.Tensor = self.linear(x.mean((2, 3)))
        return logits


@model(
    paper="Identity Mappings in Deep Residual Networks, arXiv 1603.05027",
    year=2016,
    version=1,
    layers=("convolutions", "batchnorm"),
)
def preactresnet18(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights."""
    return PreActResNet(channels, classes, hyper.width)
