"""ViT-B/16, torchvision's; images are resized to 224x224 inside the network.

The state dict has the names of BackdoorBench, which puts the same resizing in front. Departure:
nothing is downloaded here, so the weights are fresh, where BackdoorBench starts from ImageNet's.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Count, model
from harness.models._transformer import TransformerSizes, vision_transformer

PATCH = 16


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """TransformerSizes of the transformer."""

    size: Count = 224
    """Height and width that images are resized to; a multiple of 16."""
    layers: Count = 12
    heads: Count = 12
    width: Count = 768
    """Embedding dimension; a multiple of the heads."""

    def __post_init__(self) -> None:
        """Check that the sizes divide each other."""
        if self.size % PATCH or self.width % self.heads:
            raise ValueError(f"size is a multiple of {PATCH}, and width one of the heads")


@model(
    paper="An Image is Worth 16x16 Words, arXiv 2010.11929",
    year=2020,
    version=1,
    display_name="ViT-B/16",
    layers=("encoder-blocks",),
)
def vit_b_16(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights."""
    sizes = TransformerSizes(hyper.size, PATCH, hyper.layers, hyper.heads, hyper.width)
    return vision_transformer(channels, classes, sizes)
