"""VGG19 with batch norm, torchvision's, as BackdoorBench and the IMS study use it on small images.

The pooled 7x7 features of a 32x32 image are one value repeated; the three linear layers are those of
ImageNet. At width 1 and 10 classes the state dict has 118 keys, under torchvision's names.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from harness.contract import Positive, model
from harness.toolbox.stem import with_channels


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Size of the network."""

    width: Positive = 1.0
    """Factor on the channels of every layer."""


@model(paper="Very Deep Convolutional Networks, arXiv 1409.1556", year=2014, version=1)
def vgg19_bn(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights: images of 32x32 or more."""
    layout = [x if isinstance(x, str) else max(1, round(hyper.width * x)) for x in cfgs["E"]]
    net = VGG(make_layers(layout, batch_norm=True), num_classes=classes, init_weights=hyper.width == 1)
    if hyper.width != 1:
        net.classifier = _classifier(max(1, round(512 * hyper.width)), round(4096 * hyper.width), classes)
    return with_channels(net, channels)


def _classifier(features: int, hidden: int, classes: int) -> nn.Sequential:
    first = (nn.Linear(49 * features, hidden), nn.ReLU(True), nn.Dropout())
    return nn.Sequential(
        *first, nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, classes)
    )
