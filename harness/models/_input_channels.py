"""Adapts networks made for colour images to other numbers of channels."""

from __future__ import annotations

from torch import nn


def with_channels(net: nn.Module, channels: int) -> nn.Module:
    """Return the network; its first convolution is replaced unless it has ``channels`` inputs."""
    name, first = next((name, x) for name, x in net.named_modules() if isinstance(x, nn.Conv2d))
    if first.in_channels != channels:
        parent = net.get_submodule(name.rpartition(".")[0])
        replacement = nn.Conv2d(
            channels,
            first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )
        setattr(parent, name.rpartition(".")[2], replacement)
    return net
