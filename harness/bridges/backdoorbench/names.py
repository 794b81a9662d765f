"""Data sets and architectures of BackdoorBench (arXiv 2206.12654), by its names and ours.

Its networks take normalised images. Its data loaders normalise them, with constants that depend on
the data set's name alone. A victim with other constants can't be exported: a shift of the mean
can't be folded into a convolution that pads with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.data.catalog import CATALOG
from harness.plan.registry import describe

if TYPE_CHECKING:
    import torch

    from harness.plan.spec import Victim

DATA = {
    "cifar10": ("cifar10", 10),
    "cifar100": ("cifar100", 100),
    "gtsrb": ("gtsrb", 43),
    "tiny_imagenet": ("tiny", 200),
}
"""BackdoorBench's name of a data set and its number of classes, by our name."""
ARCHITECTURES = (
    "preactresnet18",
    "resnet18",
    "vgg19",
    "vgg19_bn",
    "densenet161",
    "mobilenet_v3_large",
    "efficientnet_b3",
    "convnext_tiny",
    "vit_b_16",
)
"""Architectures with the same name and, but for OTHER_SIZES, by default the same sizes."""
OTHER_SIZES = {"resnet18": {"stem": "7x7"}}
"""The sizes of BackdoorBench's architectures where they are not our defaults."""


def data_name(victim: Victim) -> str:
    """Return BackdoorBench's name of the victim's data set."""
    return DATA[victim.data.name][0]


def sizes_in_weights(name: str, weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return the hyperparameters of a record's architecture that only its weights tell."""
    first = weights.get("conv1.weight")
    if name == "resnet18" and first is not None and first.shape[2:] == (7, 7):
        return OTHER_SIZES[name]
    return {}


def why_unsupported(victim: Victim) -> str | None:
    """Return the reason why a victim can't be a BackdoorBench record, or ``None`` if it can."""
    if victim.is_clean:
        return "BackdoorBench has no record of a clean model"
    return _data_fault(victim) or _model_fault(victim)


def _data_fault(victim: Victim) -> str | None:
    info = victim.data
    if info.name not in DATA:
        return f"BackdoorBench has no data set {info.name!r}; it has {', '.join(DATA)}"
    classes, entry = DATA[info.name][1], CATALOG[info.name]
    shape = (3, entry.size, entry.size)
    if (info.classes, info.shape) != (classes, shape):
        return f"BackdoorBench's {info.name} has {classes} classes of images {shape}"
    mean, std = entry.normalisation(3)
    if (info.mean, info.std) != (mean, std):
        return f"BackdoorBench normalises {info.name} by mean {mean} and std {std} only"
    return None


def _model_fault(victim: Victim) -> str | None:
    model = victim.model
    if model.ref not in ARCHITECTURES:
        return (
            f"BackdoorBench has no architecture {model.name!r}; it has {', '.join(ARCHITECTURES)}"
        )
    standard = asdict(describe("model", model.ref).hyper(**OTHER_SIZES.get(model.ref, {})))
    if model.hyper != standard:
        sizes = ", ".join(f"{name}={value}" for name, value in standard.items())
        return f"BackdoorBench has {model.name} with {sizes} only"
    return None
