"""EfficientNet-B3, torchvision's, as in BackdoorBench, with fresh weights; no rescaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision.models import efficientnet_b3 as torchvision_efficientnet_b3

from harness.contract import model
from harness.models._input_channels import with_channels

if TYPE_CHECKING:
    from harness.contract import NoHyper


@model(
    paper="EfficientNet: Rethinking Model Scaling, arXiv 1905.11946",
    year=2019,
    version=1,
    display_name="EfficientNet-B3",
)
def efficientnet_b3(channels: int, classes: int, hyper: NoHyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names."""
    net: nn.Module = torchvision_efficientnet_b3(num_classes=classes)
    return with_channels(net, channels)
