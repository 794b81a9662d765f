"""A small vision transformer for small images: patches of 4 on 32x32, 6 layers of 192, 3 heads.

The sizes are those of a narrow DeiT-Ti (arXiv 2012.12877) with half its layers; the transformer is
torchvision's. Images of another size are resized inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Count, model
from harness.models._transformer import TransformerSizes, vision_transformer


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """TransformerSizes of the transformer."""

    size: Count = 32
    """Height and width that images are resized to; a multiple of the patch."""
    patch: Count = 4
    layers: Count = 6
    heads: Count = 3
    width: Count = 192
    """Embedding dimension; a multiple of the heads."""

    def __post_init__(self) -> None:
        """Check that the sizes divide each other."""
        if self.size % self.patch or self.width % self.heads:
            raise ValueError("size is a multiple of the patch, and width one of the heads")


@model(
    paper="An Image is Worth 16x16 Words, arXiv 2010.11929",
    year=2020,
    version=1,
    display_name="ViT-Small",
    layers=("encoder-blocks",),
)
def vit_small_cifar(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Build the network with fresh weights."""
    sizes = TransformerSizes(hyper.size, hyper.patch, hyper.layers, hyper.heads, hyper.width)
    return vision_transformer(channels, classes, sizes)
