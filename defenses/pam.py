"""PAM (Path-Aware Minimisation): tune so that the loss is low on the way back to the victim too.

Min, Qin, Zhang, Shen, Cheng, "Uncovering, Explaining, and Mitigating the Superficial Safety of
Backdoor Defense", arXiv 2410.09838. Threat model: clean samples only.

Every step takes its gradient at w + rho (w_0 - w) / ||w_0 - w||, where w_0 are the victim's
weights, all as one vector, and applies it at w; the first step is a plain one. It trains on batches
of which a fifth, plus one image, carries an inverted trigger, with true labels. The settings are
those of the authors' code (AISafety-HKUST/Backdoor_Safety_Tuning at 37d2ef5c), for 2,500 clean
images of CIFAR-10: the triggers of BTI-DBF in 3 rounds, each with 30 epochs of SGD lr 0.01,
momentum 0.1; rho 0.5; batch 128; training augmentation. Departures: one budget throughout (theirs
draws another one for each part); the U-Net is trained in every round (theirs in the first alone,
as the tuning freezes it for good); those of BTI-DBF's inversion.

``triggers: nc`` takes the same step on the triggers that Neural Cleanse finds and flags, for
rounds times 30 epochs; if it flags none, the model is returned unchanged.

Preset ``authors``: the inversion of the authors' code, see ``bti_dbf``, in the first round alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    BatchNormMode,
    Budget,
    Context,
    Count,
    FeatureInversion,
    NonNegative,
    Positive,
    Share,
    TriggerInversion,
    added,
    defense,
)
from harness.toolbox import (
    ANOMALY_THRESHOLD,
    InvertedTrigger,
    Loop,
    TriggerGenerator,
    displaced_weights,
    invert_all_classes,
    train_epochs,
    train_mode_,
)

Change = Callable[[torch.Tensor], torch.Tensor]
"""Puts the inverted trigger on a part of a batch (n, C, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Hyper(FeatureInversion, TriggerInversion):
    """The inversion, and the tuning."""

    triggers: Literal["bti", "nc"] = "bti"
    """Whose inversion: BTI-DBF's or Neural Cleanse's."""
    rounds: Count = 3
    tuning_epochs: Count = 30
    """Epochs per round."""
    invert_every_round: bool = added(True)
    """Whether the U-Net is trained in every round, or in the first alone."""
    rho: NonNegative = 0.5
    """Length of the step back towards the victim."""
    lr: Positive = 0.01
    momentum: Share = 0.1
    batch: Count = 128
    inversion_batch: Count = 128
    share: Share = 0.2
    """Share of a batch that gets the trigger, rounded down, plus one image."""
    batchnorm: BatchNormMode = "train"


PRESETS = {"authors": Hyper(authors_losses=True, invert_every_round=False)}


@defense(
    paper="Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor Defense, "
    "arXiv 2410.09838",
    year=2024,
    family="unlearning",
    version=2,
    display_name="PAM",
    requires="convolutions",
    varied=("rho", "lr"),
)
def pam(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Invert and tune in rounds; return the model after the last."""
    tuning = Tuning(model, hyper)
    if hyper.triggers == "nc":
        inverted, anomalies = invert_all_classes(model, budget, hyper, ctx)
        pairs = zip(inverted, anomalies.tolist(), strict=True)
        flagged = [trigger for trigger, anomaly in pairs if anomaly > ANOMALY_THRESHOLD]
        if flagged:
            epochs = hyper.rounds * hyper.tuning_epochs
            tuning.tune_(budget, epochs, lambda x: with_a_trigger(x, flagged, hyper, ctx), ctx)
        return model.eval()
    generator = TriggerGenerator(model, budget, hyper, ctx)
    for number in range(hyper.rounds):
        if number == 0 or hyper.invert_every_round:
            generator.invert(model)
        change: Change = lambda x: generator.reverse(x, hyper.share)  # noqa: E731
        tuning.tune_(budget, hyper.tuning_epochs, change, ctx)
    return model.eval()


def with_a_trigger(
    x: torch.Tensor, triggers: list[InvertedTrigger], hyper: Hyper, ctx: Context
) -> torch.Tensor:
    """Return images, a part of them under one of the triggers."""
    count = int(hyper.share * len(x)) + 1
    chosen = torch.randperm(len(x), generator=ctx.generator)[:count]
    which = int(torch.randint(len(triggers), (), generator=ctx.generator))
    changed = x.clone()
    changed[chosen] = triggers[which].apply(x[chosen])
    return changed


class Tuning:
    """SGD with gradients taken a step back on the way to the weights that it starts from."""

    def __init__(self, model: nn.Module, hyper: Hyper) -> None:
        self.model, self.hyper = model, hyper
        self.weights = list(model.parameters())
        self.victim = [w.detach().clone() for w in self.weights]
        self.optimiser = torch.optim.SGD(self.weights, hyper.lr, hyper.momentum)

    def step_back(self) -> list[torch.Tensor]:
        """Return rho (w_0 - w) / ||w_0 - w||, one tensor per weight; zero at w_0."""
        ways = [old - w.detach() for old, w in zip(self.victim, self.weights, strict=True)]
        norm = torch.stack([way.norm() for way in ways]).norm()
        return [way * (self.hyper.rho / (norm + 1e-12)) for way in ways]

    def tune_(self, budget: Budget, epochs: int, change: Change, ctx: Context) -> None:
        """Train in place on batches that ``change`` puts triggers into."""

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            with displaced_weights(self.weights, self.step_back()):
                loss = F.cross_entropy(self.model(change(x)), y)
                loss.backward()
            return loss

        train_mode_(self.model, self.hyper.batchnorm)
        train_epochs(budget, step, self.optimiser, Loop(epochs, self.hyper.batch), ctx)
