"""MobileNetV3-Large, torchvision's, as in BackdoorBench, with fresh weights; no rescaling."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torchvision.models import mobilenet_v3_large as torchvision_mobilenet_v3_large

from harness.contract import Positive, model
from harness.models._input_channels import with_channels


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Size of the network."""

    width: Positive = 1.0
    """Factor on the channels of every layer."""


@model(
    paper="Searching for MobileNetV3, arXiv 1905.02244",
    year=2019,
    version=1,
    display_name="MobileNetV3-Large",
)
def mobilenet_v3_large(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names."""
    net: nn.Module = torchvision_mobilenet_v3_large(num_classes=classes, width_mult=hyper.width)
    return with_channels(net, channels)
