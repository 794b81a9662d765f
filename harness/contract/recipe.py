"""Training recipes: how a victim is trained, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.contract.types import Count, NonNegative, Numerics, Positive, Share


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """SGD with momentum on cross-entropy, with the data set's augmentation.

    The defaults are the recipe ``paper``: the settings of BackdoorBench (arXiv 2206.12654), with
    which the IMS comparison (arXiv 2509.15497) trained its victims.
    """

    epochs: Count = 100
    batch: Count = 128
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    nesterov: bool = False
    schedule: Literal["cosine", "onecycle", "constant"] = "cosine"
    """The learning rate over all steps. cosine: from lr to zero; onecycle: linearly up to lr in the
    first fifth, then linearly down to zero."""
    augment: bool = True
    precision: Literal["auto"] | Numerics = "auto"
    """The arithmetic. auto: the study's ``numerics``; without that bf16 if the hardware supports it
    natively, else fp32."""


RECIPES = {
    "paper": Recipe(),
    "fast": Recipe(epochs=10, lr=0.1, nesterov=True, schedule="onecycle"),
}
"""The built-in recipes by name."""
