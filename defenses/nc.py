"""NC (Neural Cleanse): invert a trigger per class, and unlearn those that are unusually small.

Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao, "Neural Cleanse: Identifying and Mitigating Backdoor
Attacks in Neural Networks", IEEE S&P 2019. Threat model: clean samples only.

For every class the smallest mask and pattern are searched that send clean images to it. A class
whose mask is more than two consistent median absolute deviations below the median is a target; a
fifth of the budget gets its trigger and keeps its true labels, and the model is fine-tuned. If no
class is flagged, the model is returned unchanged. The settings are those of the IMS comparison
(arXiv 2509.15497): Adam lr 0.1 (betas 0.5, 0.9) for 80 epochs, size weight from 0.001 by factors of
2 and 2^1.5; fine-tuning as FT; training augmentation in both. Departures: an epoch has at least ten
steps, the number that 5 % of CIFAR-10 has at batch 256 (their code stops with an error where the
budget is given per class; with one step per epoch the search would end before the masks have
shrunk); the trigger is applied in floating point (theirs is read back from image files that were
stretched to full contrast).

Preset ``authors``: the inversion of their repository (bolunwang/backdoor at e8577747) for GTSRB,
where 1,000 steps of 31 batches of 32 images without augmentation seek a mask that reaches 99 %,
and the paper's single epoch of fine-tuning, by SGD. Departures: the size weight is there from the
start (theirs after five successes in a row); masks start at 0.88 (theirs at random); a mask has to
shrink by 1 % to count as smaller; an epoch passes over the whole budget where that takes more than
31 batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import (
    Budget,
    Context,
    Defended,
    FineTuning,
    Share,
    TriggerInversion,
    defense,
)
from harness.toolbox import (
    ANOMALY_THRESHOLD,
    InvertedTrigger,
    Samples,
    fine_tune_,
    invert_all_classes,
)


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning, TriggerInversion):
    """Inversion, and the fine-tuning that unlearns."""

    unlearning_share: Share = 0.2
    """Share of the budget that gets a trigger, at least one image."""


PRESETS = {
    "authors": Hyper(
        inversion_epochs=1000,
        inversion_steps=31,
        inversion_batch=32,
        inversion_augment=False,
        success=0.99,
        epochs=1,
        batch=32,
    )
}


@defense(
    paper="Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks, "
    "IEEE S&P 2019",
    year=2019,
    family="unlearning",
    version=2,
    display_name="NC",
    varied=("cost", "unlearning_share", "lr"),
)
def nc(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Invert, unlearn flagged triggers; return the model, all triggers and anomaly indices."""
    triggers, anomalies = invert_all_classes(model, budget, hyper, ctx)
    flagged = [
        trigger
        for trigger, x in zip(triggers, anomalies.tolist(), strict=True)
        if x > ANOMALY_THRESHOLD
    ]
    if flagged:
        samples = unlearning_samples(budget, flagged, hyper, ctx)
        model = fine_tune_(model, samples, hyper, budget.augment, ctx)
    artifacts = {
        "anomaly": anomalies,
        "masks": torch.stack([trigger.mask for trigger in triggers]),
        "patterns": torch.stack([trigger.pattern for trigger in triggers]),
    }
    return Defended(model, artifacts=artifacts)


def unlearning_samples(
    budget: Budget, triggers: list[InvertedTrigger], hyper: Hyper, ctx: Context
) -> Samples:
    """Return most of the budget clean, the rest once under every trigger, with true labels."""
    order = torch.randperm(len(budget), generator=ctx.generator).to(budget.labels.device)
    count = max(1, int(hyper.unlearning_share * len(budget)))
    clean, rest = budget.subset(order[count:]), budget.subset(order[:count])
    images = torch.cat([clean.images, *(trigger.apply(rest.images) for trigger in triggers)])
    return images, torch.cat([clean.labels, *(rest.labels for _ in triggers)])
