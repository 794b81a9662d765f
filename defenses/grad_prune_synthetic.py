"""Grad-Prune without an oracle: its triggers are inverted from the clean budget.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Unlearning Backdoor Attacks through Gradient-Based
Model Pruning", arXiv 2405.03918. Threat model: clean samples only.

The paper assumes copies of the clean samples under the real trigger. Here Neural Cleanse's
inversion gives one trigger per class; those of suspiciously small size, or the smallest where none
stands out, are stamped on the budget in turn, and Grad-Prune goes on from there with true labels
and the authors' settings. Departure from the paper: where the triggers come from; otherwise those
of Grad-Prune.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from harness.contract import (
    Budget,
    Context,
    Defended,
    GradientPruning,
    TriggerInversion,
    defense,
)
from harness.toolbox import ANOMALY_THRESHOLD, InvertedTrigger, invert_all_classes, prune_and_tune


@dataclass(frozen=True, kw_only=True)
class Hyper(GradientPruning, TriggerInversion):
    """Inversion, and when pruning and fine-tuning stop."""


@defense(
    paper="Unlearning Backdoor Attacks through Gradient-Based Model Pruning, arXiv 2405.03918",
    year=2024,
    family="pruning",
    version=2,
    display_name="Grad-Prune (synthetic)",
    least_spc=2,
    requires="convolutions",
)
def grad_prune_synthetic(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Invert triggers, prune, fine-tune, and return the plain model with the anomaly of every class."""
    triggers, anomalies = invert_all_classes(model, budget, hyper, ctx)
    flagged = (anomalies > ANOMALY_THRESHOLD).nonzero()[:, 0].tolist() or [int(anomalies.argmax())]
    budget = replace(budget, triggered=in_turn(budget.images, [triggers[i] for i in flagged]))
    return Defended(prune_and_tune(model, budget, hyper, ctx), artifacts={"anomaly": anomalies})


def in_turn(images: torch.Tensor, triggers: list[InvertedTrigger]) -> torch.Tensor:
    """Return images (n, C, H, W), the i-th under trigger i modulo their number."""
    stamped = torch.empty_like(images)
    for i, trigger in enumerate(triggers):
        stamped[i :: len(triggers)] = trigger.apply(images[i :: len(triggers)])
    return stamped
