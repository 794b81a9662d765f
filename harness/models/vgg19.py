"""VGG19 without batch norm, torchvision's, as in BackdoorBench; small images: ``vgg19_bn``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Positive, model
from harness.models._vgg import vgg_19


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Size of the network."""

    width: Positive = 1.0
    """Factor on the channels of every layer."""


@model(
    paper="Very Deep Convolutional Networks, arXiv 1409.1556",
    year=2014,
    version=1,
    display_name="VGG19",
    layers=("convolutions",),
    least_size=32,
)
def vgg19(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights: images of 32x32 or more."""
    return vgg_19(channels, classes, hyper.width, batch_norm=False)
