"""ResNet18 for small images: torchvision's blocks behind a 3x3 stem without pooling.

With ``stem: 7x7`` it is torchvision's own network, which BackdoorBench calls resnet18.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from harness.contract import Count, added, model


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Channels of the stem; the four stages have 1, 2, 4 and 8 times as many."""

    width: Count = 64
    stem: Literal["3x3", "7x7"] = added("3x3")
    """The first convolution: 3x3 at full size, or 7x7 with stride 2 and pooling behind it."""


@model(
    paper="Deep Residual Learning for Image Recognition, arXiv 1512.03385",
    year=2015,
    version=1,
    display_name="ResNet18",
)
def resnet18(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names."""
    net = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
    if hyper.stem == "3x3":
        net.conv1 = nn.Conv2d(channels, hyper.width, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    else:
        net.conv1 = nn.Conv2d(channels, hyper.width, 7, 2, 3, bias=False)
    net.bn1 = nn.BatchNorm2d(hyper.width)
    net.inplanes = hyper.width
    for stage in range(4):
        layer = net._make_layer(
            BasicBlock, hyper.width * 2**stage, 2, stride=1 if stage == 0 else 2
        )
        setattr(net, f"layer{stage + 1}", layer)
    net.fc = nn.Linear(8 * hyper.width, classes)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    result: nn.Module = net
    return result
