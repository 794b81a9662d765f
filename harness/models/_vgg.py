"""torchvision's VGG19 in any width, for images of any number of channels."""

from __future__ import annotations

from torch import nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from harness.models._input_channels import with_channels


def vgg_19(channels: int, classes: int, width: float, *, batch_norm: bool) -> nn.Module:
    """Return the network with fresh weights; ``width`` is a factor on all channels."""
    layout = [x if isinstance(x, str) else max(1, round(width * x)) for x in cfgs["E"]]
    net = VGG(
        make_layers(layout, batch_norm=batch_norm), num_classes=classes, init_weights=width == 1
    )
    if width != 1:
        net.classifier = _classifier(max(1, round(512 * width)), round(4096 * width), classes)
    return with_channels(net, channels)


def _classifier(features: int, hidden: int, classes: int) -> nn.Sequential:
    first = (nn.Linear(49 * features, hidden), nn.ReLU(True), nn.Dropout())
    return nn.Sequential(
        *first, nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, classes)
    )
