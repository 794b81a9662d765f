"""ConvNeXt-Tiny, torchvision's; images are not rescaled.

Departure: nothing is downloaded here, so the weights are fresh, where BackdoorBench starts from
ImageNet's.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

from harness.contract import Positive, model
from harness.models._input_channels import with_channels

CHANNELS = (96, 192, 384, 768)
BLOCKS = (3, 3, 9, 3)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Size of the network."""

    width: Positive = 1.0
    """Factor on the channels of every stage."""


@model(
    paper="A ConvNet for the 2020s, arXiv 2201.03545",
    year=2022,
    version=1,
    display_name="ConvNeXt-Tiny",
    layers=("convolutions",),
    least_size=32,
)
def convnext_tiny(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights, under torchvision's names: images of 32x32 or more."""
    widths = [max(1, round(hyper.width * x)) for x in CHANNELS]
    stages = [CNBlockConfig(*x) for x in zip(widths, [*widths[1:], None], BLOCKS, strict=True)]
    return with_channels(ConvNeXt(stages, stochastic_depth_prob=0.1, num_classes=classes), channels)
