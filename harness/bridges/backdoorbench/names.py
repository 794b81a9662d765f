"""What BackdoorBench (arXiv 2206.12654) knows by name: data sets with their normalisation, architectures.

Its networks take normalised images and its data loaders normalise, with constants that depend on
the data set's name alone. A victim goes there as it is, or not at all: a shift of the mean can't be
folded into a convolution that pads with zeros.
"""

from __future__ import annotations

from dataclasses import asdict

from harness.data.catalog import CATALOG
from harness.plan.registry import describe
from harness.plan.spec import Victim

DATA = {
    "cifar10": ("cifar10", 10),
    "cifar100": ("cifar100", 100),
    "gtsrb": ("gtsrb", 43),
    "tiny_imagenet": ("tiny", 200),
}
"""BackdoorBench's name and number of classes, by ours."""
ARCHITECTURES = (
    "preactresnet18",
    "vgg19",
    "vgg19_bn",
    "densenet161",
    "mobilenet_v3_large",
    "efficientnet_b3",
    "convnext_tiny",
    "vit_b_16",
)
"""Under the same names here and there; ours have its sizes by default."""


def data_name(victim: Victim) -> str:
    """Return BackdoorBench's name of a victim's data set."""
    return DATA[victim.data.name][0]


def unfit(victim: Victim) -> str | None:
    """Return why BackdoorBench has no form for a victim, else None."""
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
    standard = asdict(describe("model", model.ref).hyper())
    if model.hyper != standard:
        sizes = ", ".join(f"{name}={value}" for name, value in standard.items())
        return f"BackdoorBench has {model.name} with {sizes} only"
    return None
