"""NAD (Neural Attention Distillation): fine-tune towards the attention of a fine-tuned teacher.

Li, Lyu, Koren, Lyu, Li, Ma, "Neural Attention Distillation: Erasing Backdoor Triggers from Deep
Neural Networks", arXiv 2101.05930. Threat model: clean samples only.

A copy of the victim is fine-tuned as teacher; the victim is then trained on cross-entropy plus, for
three feature maps, beta * MSE of the attention maps (sum over channels of |features|^p, divided by
its L2 norm). The settings are those of the IMS comparison (arXiv 2509.15497): 10 epochs each for
teacher and student, SGD lr 0.01, momentum 0.9, weight decay 5e-4, batch 256, training augmentation,
p 2, beta 500, 1000, 1000 from the earlier map to the later. The maps are the last ones at each of
the last three resolutions: the last three stages of a residual network, as in the paper.
Departures: on PreActResNet18 the comparison's third map is the pooled one, of a single position,
whose attention is constant, so that only two maps are distilled there; on other architectures it
takes the last map alone, here all have three; running statistics move once per step (theirs once
per map, each of which is another forward pass of the student).

Preset ``authors``: the defaults of the authors' script, for 2,500 clean images of CIFAR-10
(bboylyg/NAD at f17b7139): 20 epochs, batch 64, SGD lr 0.1 for two epochs and 0.01 after them,
Nesterov momentum, weight decay 1e-4, and a black square of 2 x 2 pixels in every image (their
Cutout of "length 3"). It prints ACC 82.3 and ASR 4.2 for the network in their repository, on the
classes other than the target. Departures: the teacher is made by the same schedule in 10 epochs, as
their README says (theirs is a file); the last batch is as large as the others; the network after
the last epoch is returned (theirs is chosen on test images).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Budget,
    Context,
    Count,
    NonNegative,
    NonNegativeCount,
    Positive,
    Share,
    added,
    defense,
)
from harness.toolbox import FeatureMaps, Loop, attention_distance, last_map_modules, train_epochs


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Teacher, student, and what is distilled."""

    teacher_epochs: Count = 10
    epochs: Count = 10
    batch: Count = 256
    lr: Positive = 0.01
    """Learning rate of the first epochs."""
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    betas: tuple[NonNegative, NonNegative, NonNegative] = (500, 1000, 1000)
    """Weights of the three maps, the earliest first."""
    power: Positive = 2
    """p, of the attention maps."""
    milestones: tuple[Count, ...] = added(())
    """Numbers of epochs after which the learning rate is multiplied by ``decay``."""
    decay: Positive = added(0.1)
    nesterov: bool = added(False)
    cutout: NonNegativeCount = added(0)
    """Side in pixels of a black square that is put into every augmented image."""


PRESETS = {
    "authors": Hyper(
        epochs=20,
        batch=64,
        lr=0.1,
        weight_decay=1e-4,
        milestones=(2,),
        nesterov=True,
        cutout=2,
    )
}


@defense(
    paper="Neural Attention Distillation: Erasing Backdoor Triggers from Deep Neural Networks, "
    "arXiv 2101.05930",
    year=2021,
    family="fine-tuning",
    version=1,
    display_name="NAD",
    requires="convolutions",
    varied=("lr", "epochs"),
)
def nad(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune a teacher, distil it into the model, and return the model."""
    if hyper.cutout:
        budget = replace(budget, augment=replace(budget.augment, cutout=hyper.cutout))
    modules = last_map_modules(model, budget.images[:1], len(hyper.betas))
    betas = hyper.betas[-len(modules) :]
    teacher = FeatureMaps(train_teacher(copy.deepcopy(model), budget, hyper, ctx), modules)
    student = FeatureMaps(model, modules)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits, student_maps = student(x)
        with torch.no_grad():
            _, teacher_maps = teacher(x)
        pairs = zip(betas, student_maps, teacher_maps, strict=True)
        loss = F.cross_entropy(logits, y) + sum(
            b * attention_distance(s, t, hyper.power) for b, s, t in pairs
        )
        loss.backward()
        return loss

    model.train()
    train_epochs(budget, step, _optimiser(model, hyper), _loop(hyper.epochs, hyper), ctx)
    for maps in (student, teacher):
        maps.remove()
    return model.eval()


def train_teacher(net: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune ``net`` in place on cross-entropy, and return it in eval mode."""

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    net.train()
    train_epochs(budget, step, _optimiser(net, hyper), _loop(hyper.teacher_epochs, hyper), ctx)
    return net.eval()


def _optimiser(net: nn.Module, hyper: Hyper) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        net.parameters(),
        hyper.lr,
        hyper.momentum,
        weight_decay=hyper.weight_decay,
        nesterov=hyper.nesterov,
    )


def _loop(epochs: int, hyper: Hyper) -> Loop:
    return Loop(epochs, hyper.batch, milestones=hyper.milestones, decay=hyper.decay)
