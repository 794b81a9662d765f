"""A small convolutional network with batch norm."""

from dataclasses import dataclass

from torch import nn

from harness.contract import Count, model


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The hyperparameters: a study sets them by name, types and ranges are checked at once."""

    width: Count = 16


@model(paper="ours", year=2026, layers=("convolutions", "batchnorm"))
def my_model(channels: int, classes: int, hyper: Hyper) -> nn.Module:
    """Return the network with fresh weights: normalised images (N, channels, H, W) to logits.

    ``layers`` above says what defenses find in it; those that need other layers skip it.
    """
    return nn.Sequential(
        nn.Conv2d(channels, hyper.width, 3, padding=1),
        nn.BatchNorm2d(hyper.width),
        nn.ReLU(),
        nn.Conv2d(hyper.width, 2 * hyper.width, 3, stride=2, padding=1),
        nn.BatchNorm2d(2 * hyper.width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * hyper.width, classes),
    )
