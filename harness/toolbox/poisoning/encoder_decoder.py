"""A small hourglass network from images to images in [0, 1]."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ConvNormReLU(nn.Sequential):
    """3x3 convolution and batch norm, then ReLU unless ``relu`` is False."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs, momentum=0.05),
        ]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))


class EncoderDecoder(nn.Module):
    """(N, channels, H, W) -> (N, outputs, H, W) in [0, 1], as in Input-aware (arXiv 2010.08138).

    Each of ``stages`` stages halves the image and doubles the channels from ``width`` on; the way
    up mirrors the way down, bilinearly.
    """

    def __init__(self, channels: int, outputs: int, width: int, stages: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(stages)]
        self.down = nn.ModuleList(
            nn.Sequential(ConvNormReLU(before, after), ConvNormReLU(after, after))
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.middle = ConvNormReLU(widths[-1], widths[-1])
        ends = [*reversed(widths[:-1]), outputs]
        self.up = nn.ModuleList(
            nn.Sequential(
                ConvNormReLU(before, before), ConvNormReLU(before, after, relu=i < stages - 1)
            )
            for i, (before, after) in enumerate(zip(reversed(widths), ends, strict=True))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the generated images."""
        sizes = []
        for block in self.down:
            sizes.append(x.shape[2:])
            x = F.max_pool2d(block(x), 2)
        x = self.middle(x)
        for block, size in zip(self.up, reversed(sizes), strict=True):
            x = block(F.interpolate(x, size=size, mode="bilinear"))
        return torch.tanh(x) / 2 + 0.5

    @classmethod
    def from_weights(cls, weights: dict[str, torch.Tensor], outputs: int) -> EncoderDecoder:
        """Return a network with the given state dict, whose shapes give its sizes."""
        width, channels = weights["down.0.0.0.weight"].shape[:2]
        stages = len({name.split(".")[1] for name in weights if name.startswith("down.")})
        with torch.device("meta"):
            net = cls(channels, outputs, width, stages)
        net.load_state_dict(weights, assign=True)
        return net
