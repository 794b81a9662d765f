"""Training recipes, as data: how a victim is trained, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.contract.types import Count, NonNegative, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """SGD with momentum on cross-entropy, data set augmentation on. The defaults are ``paper``.

    They are the settings of BackdoorBench (arXiv 2206.12654), under which the IMS comparison
    (arXiv 2509.15497) trained its victims: 100 epochs, lr 0.01, cosine to zero, batch 128.
    """

    epochs: Count = 100
    batch: Count = 128
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    nesterov: bool = False
    schedule: Literal["cosine", "onecycle", "constant"] = "cosine"
    """cosine: to zero over all steps; onecycle: linear up over the first fifth, linear down to
    zero."""
    augment: bool = True
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the hardware multiplies it natively, else fp32."""


RECIPES = {
    "paper": Recipe(),
    "fast": Recipe(epochs=10, lr=0.1, nesterov=True, schedule="onecycle"),
}
