"""FT: fine-tune every weight on the clean budget.

The baseline of every study; the settings are those of the IMS comparison (arXiv 2509.15497) and of
BackdoorBench (arXiv 2206.12654): 100 epochs, SGD lr 0.01, momentum 0.9, weight decay 5e-4, cosine
to zero, batch 256 (or the whole budget, if smaller), training augmentation. Threat model: clean
samples only. Departures: float32 throughout (theirs uses automatic mixed precision); the schedule
moves each step; an epoch leaves out its last incomplete batch. The preset ``authors``, of
BackdoorBench, is the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Budget, Context, FineTuning, defense
from harness.toolbox import fine_tune_


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """Optimiser and schedule."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    family="fine-tuning",
    version=1,
    display_name="FT",
    varied=("lr", "epochs"),
)
def ft(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune on all clean samples and return the model after the last epoch."""
    return fine_tune_(model, (budget.images, budget.labels), hyper, budget.augment, ctx)
