"""PreActResNet18 for small images, as BackdoorBench and the IMS study use it.

Pre-activation residual network (BN, ReLU, convolution), 3x3 stem without pooling, four stages of
two blocks; global average pooling and one linear layer. There is no BN after the last block. At
width 64 and 10 classes the state dict has 102 keys and 11,171,146 parameters, under BackdoorBench's
names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Count, model
from harness.models._preactivation import preactivation_stage


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Channels of the stem; the four stages have 1, 2, 4 and 8 times as many."""

    width: Count = 64


class PreActResNet(nn.Module):
    """Stem, four stages, pooled features, logits: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.layer1 = preactivation_stage(width, width, 1, nested=True)
        self.layer2 = preactivation_stage(width, 2 * width, 2, nested=True)
        self.layer3 = preactivation_stage(2 * width, 4 * width, 2, nested=True)
        self.layer4 = preactivation_stage(4 * width, 8 * width, 2, nested=True)
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        logits: torch.Tensor = self.linear(x.mean((2, 3)))
        return logits


@model(
    paper="Identity Mappings in Deep Residual Networks, arXiv 1603.05027",
    year=2016,
    version=1,
    display_name="PreActResNet18",
    layers=("convolutions", "batchnorm"),
)
def preactresnet18(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights."""
    return PreActResNet(channels, classes, hyper.width)
