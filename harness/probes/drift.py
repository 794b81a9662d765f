"""Trigger drift: did the defense remove the trigger's effect, or move it to another class?

RA is that of BackdoorBench (arXiv 2206.12654); the rest is a definition of this benchmark, without
a paper. ``drift`` is the largest share of triggered test images that are given one and the same
class that is neither theirs nor the attacker's. PACC is the accuracy on all triggered test images,
those of the target class included. A strong trigger lowers the accuracy of a clean model too, so
that RA cannot reach 100 %; ``pacc_loss`` is how far PACC is below the clean model's.
"""

from __future__ import annotations

import torch
from torch import nn

from harness.contract import Attacker, Context, NoHyper, Numbers, Quantity, probe
from harness.toolbox import apply_trigger, predict_logits


def accuracy_loss(own: Numbers, clean: Numbers) -> Numbers:
    """Return how far the accuracy on triggered images is below that of the clean model."""
    return {"pacc_loss": clean["pacc"] - own["pacc"]}


@probe(
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    version=1,
    display_name="drift",
    numbers={
        "drift": Quantity("drift", -1),
        "pacc": Quantity("PACC", 1),
        "pacc_loss": Quantity("PACC loss", -1, least=-1.0),
    },
    against_clean=accuracy_loss,
)
def drift(model: nn.Module, attacker: Attacker, hyper: NoHyper, ctx: Context) -> Numbers:
    """Predict the triggered test images of all classes."""
    assert attacker.trigger is not None
    test, classes = attacker.test, attacker.train.classes
    labels = test.labels.cpu()
    wanted = attacker.goal.labels(labels)
    predicted = predict_logits(model, apply_trigger(test.clean, attacker.trigger)).argmax(1)
    carries = wanted != labels
    elsewhere = carries & (predicted != labels) & (predicted != wanted)
    counts = torch.bincount(predicted[elsewhere], minlength=classes)
    return {
        "drift": float(counts.max() / carries.sum()),
        "pacc": float((predicted == labels).float().mean()),
    }
