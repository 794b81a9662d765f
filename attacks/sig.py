"""SIG: a faint sinusoidal stripe pattern on images of the target class, labels untouched.

Barni, Kallas, Tondi, "A new backdoor attack in CNNs by training set corruption without label
poisoning", arXiv 1902.11237. Threat model: the attacker changes training images of the target
class, no label. The pattern delta * sin(2 pi column f / W) is added to every row and channel, at
training and at test time; delta 40 of 255 and f 6 are BackdoorBench's values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from harness.contract import Context, Goal, Poison, Positive, Share, TrainingSet, attack
from harness.toolbox import poison_clean_label


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The stripes, and what the poison rate is a share of."""

    amplitude: Share = 40 / 255
    """delta, on the [0, 1] scale."""
    frequency: Positive = 6.0
    """Periods over the width of the image."""
    rate_of: Literal["all", "class"] = "all"
    """all: the rate is a share of the whole training set, as in BackdoorBench; class: of the target
    class."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Add the stripes: images (N, C, H, W), pattern (W,)."""
    return (images + state["pattern"]).clamp_(0, 1)


@attack(
    trigger=trigger,
    paper="A new backdoor attack in CNNs by training set corruption, arXiv 1902.11237",
    year=2019,
    version=1,
    display_name="SIG",
    clean_label=True,
)
def sig(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Add the stripes to some images of the target class."""
    width = train.images.shape[3]
    phase = 2 * math.pi * hyper.frequency * torch.arange(width) / width
    state = {"pattern": (hyper.amplitude * torch.sin(phase)).to(ctx.device)}
    return poison_clean_label(
        train, goal, hyper.rate_of, lambda images: trigger(images, state), state, ctx
    )
