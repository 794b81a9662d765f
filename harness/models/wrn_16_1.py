"""WRN-16-1: a wide residual network of depth 16, common in distillation defenses.

Three stages of two pre-activated blocks with 16, 32 and 64 channels times the width, batch norm and
ReLU after the last, global average pooling. NAD (arXiv 2101.05930) and its descendants repair this
network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Count, model
from harness.models._preactivation import preactivation_stage


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Factor on the channels of the stages."""

    width: Count = 1


class WideResNet(nn.Module):
    """Stem, three stages, pooled features, logits: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.block1 = preactivation_stage(16, 16 * width, 1, nested=False)
        self.block2 = preactivation_stage(16 * width, 32 * width, 2, nested=False)
        self.block3 = preactivation_stage(32 * width, 64 * width, 2, nested=False)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        logits: torch.Tensor = self.fc(torch.relu(self.bn1(x)).mean((2, 3)))
        return logits


@model(
    paper="Wide Residual Networks, arXiv 1605.07146", year=2016, version=1, display_name="WRN-16-1"
)
def wrn_16_1(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights."""
    return WideResNet(channels, classes, hyper.width)
