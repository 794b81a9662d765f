"""Grad-Prune without an oracle: its triggers are inverted from the clean budget.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Unlearning Backdoor Attacks through Gradient-Based
Model Pruning", arXiv 2405.03918. Threat model: clean samples only.

The paper assumes copies of the clean samples under the real trigger. Here Neural Cleanse's
inversion gives one trigger per class; those with an anomaly index above 2, or the one with the
largest index, are applied to the budget in rotation. Grad-Prune then runs with true labels and the
authors' settings. Departure from the paper: the source of the triggers; otherwise those of
Grad-Prune.
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
    varied=("tolerance", "patience", "cost"),
)
def grad_prune_synthetic(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Invert triggers, prune, fine-tune; return the plain model and all anomaly indices."""
    triggers, anomalies = invert_all_classes(model, budget, hyper, ctx)
    flagged = (anomalies > ANOMALY_THRESHOLD).nonzero()[:, 0].tolist() or [int(anomalies.argmax())]
    budget = replace(
        budget, triggered=apply_round_robin(budget.images, [triggers[i] for i in flagged])
    )
    tuned = prune_and_tune(model, budget, hyper, ctx)
    return replace(tuned, artifacts={**tuned.artifacts, "anomaly": anomalies})


def apply_round_robin(images: torch.Tensor, triggers: list[InvertedTrigger]) -> torch.Tensor:
    """Return images (n, C, H, W); image i has trigger i modulo the number of triggers."""
    triggered = torch.empty_like(images)
    for i, trigger in enumerate(triggers):
        triggered[i :: len(triggers)] = trigger.apply(images[i :: len(triggers)])
    return triggered
