"""ResNet18 for small images: torchvision's blocks behind a 3x3 stem without pooling, as other toolboxes have it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from harness.contract import Count, model


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Channels of the stem; the four stages have 1, 2, 4 and 8 times as many."""

    width: Count = 64


class SmallResNet(ResNet):
    """torchvision's ResNet18, at any width, with the stem for small images."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=classes)
        self.inplanes = width
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity()  # type: ignore[assignment]
        for stage in range(4):
            layer = self._make_layer(BasicBlock, width * 2**stage, 2, stride=1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", layer)
        self.fc = nn.Linear(8 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@model(paper="Deep Residual Learning for Image Recognition, arXiv 1512.03385", year=2015, version=1)
def resnet18(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names."""
    return SmallResNet(channels, classes, hyper.width)
