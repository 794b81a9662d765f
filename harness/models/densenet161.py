"""DenseNet-161, torchvision's, as in BackdoorBench, with fresh weights; no rescaling."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torchvision.models import DenseNet

from harness.contract import Count, model
from harness.models._input_channels import with_channels


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Size of the network."""

    growth: Count = 48
    """Channels that every layer adds; the stem has twice as many."""


@model(
    paper="Densely Connected Convolutional Networks, arXiv 1608.06993",
    year=2017,
    version=1,
    display_name="DenseNet161",
    least_size=29,
)
def densenet161(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names."""
    net = DenseNet(hyper.growth, (6, 12, 36, 24), 2 * hyper.growth, num_classes=classes)
    return with_channels(net, channels)
