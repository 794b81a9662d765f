"""torchvision's vision transformer in any size, for images of any size."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.transforms import Resize

from harness.models._input_channels import with_channels


class TransformerSizes(NamedTuple):
    """The sizes of a vision transformer."""

    image: int
    """Height and width that images are resized to; a multiple of the patch."""
    patch: int
    layers: int
    heads: int
    width: int
    """Embedding dimension; a multiple of the heads."""


def vision_transformer(channels: int, classes: int, sizes: TransformerSizes) -> nn.Module:
    """Return the network with fresh weights: images (N, channels, H, W) -> logits (N, classes)."""
    net = VisionTransformer(
        image_size=sizes.image,
        patch_size=sizes.patch,
        num_layers=sizes.layers,
        num_heads=sizes.heads,
        hidden_dim=sizes.width,
        mlp_dim=4 * sizes.width,
        num_classes=classes,
    )
    resize = Resize((sizes.image, sizes.image), antialias=True)
    return nn.Sequential(resize, with_channels(net, channels))
