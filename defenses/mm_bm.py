"""MM-BM: bound three early layers per channel as tightly as the logits of clean images allow.

Wang, Xiang, Miller, Kesidis, "MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary
Backdoor Pattern Types Using a Maximum Margin Statistic", arXiv 2205.06900. Threat model: clean
samples only. (MM-BD, the paper's detector, needs no data and repairs nothing.)

Caps per channel, 8 at first, are trained on the mean squared change of the logits + c * sum over
layers of ||caps||, the network fixed in eval mode. The settings are those of the authors' script
(wanghangpsu/MM-BD at 903338d6), for up to 500 clean images of CIFAR-10: 50 epochs of Adam lr 0.1,
batch 200, no augmentation; c 0.5, times 1.2 after epochs 21, 31 and 41 where accuracy under the
caps is at least 0.95, else divided by it. The preset ``authors`` is the defaults. The layers are
the first activation and the last ones of the first two resolutions: on residual networks the stem
and stages 1 and 2, as theirs. As theirs, it uses the images that the network classifies correctly;
they come from the budget (theirs from the test set). Few images are few steps: with one batch per
epoch no cap can fall below 3. The result is a network with caps in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, Defended, NonNegative, Positive, Share, defense
from harness.toolbox import Caps, Loop, activations, train_epochs, with_caps


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The caps and their training."""

    start: NonNegative = 8
    """Every cap at first."""
    cost: Positive = 0.5
    """c: weight of the norms of the caps."""
    cost_factor: Positive = 1.2
    cost_epochs: tuple[Count, ...] = (21, 31, 41)
    """Numbers of epochs after which the cost changes."""
    least_accuracy: Share = 0.95
    """Accuracy of an epoch at which the cost rises."""
    epochs: Count = 50
    batch: Count = 200
    lr: Positive = 0.1


PRESETS = {"authors": Hyper()}


@defense(
    paper="MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary Backdoor Pattern "
    "Types Using a Maximum Margin Statistic, arXiv 2205.06900",
    year=2024,
    family="pruning",
    version=1,
    display_name="MM-BM",
    varied=("start", "cost", "lr"),
)
def mm_bm(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Lower the caps and return the network with those after the last epoch."""
    caps = initial_caps(model, budget.images[:1], hyper.start)
    capped, flat = with_caps(model, caps).eval(), trained(caps)
    cost, epoch = hyper.cost, 0
    correct: list[torch.Tensor] = []

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            expected = model(x)
        logits = capped(x)
        correct.append(logits.argmax(1) == y)
        size = torch.stack([cap.norm() for cap in flat]).sum()
        loss = F.mse_loss(logits, expected) + cost * size
        loss.backward(inputs=flat)
        return loss

    def adapt_cost() -> bool:
        nonlocal cost, epoch
        epoch += 1
        if epoch in hyper.cost_epochs:
            good = torch.cat(correct).float().mean() >= hyper.least_accuracy
            cost *= hyper.cost_factor if good else 1 / hyper.cost_factor
        correct.clear()
        return False

    loop = Loop(hyper.epochs, hyper.batch, augment=False)
    samples = correctly_classified(model.eval(), budget)
    train_epochs(samples, step, torch.optim.Adam(flat, hyper.lr), loop, ctx, adapt_cost)
    for cap in flat:
        cap.requires_grad_(False).clamp_(min=0)
    return Defended(capped)


def initial_caps(model: nn.Module, image: torch.Tensor, value: float) -> Caps:
    """Return equal caps per channel, as leaves; where a chosen module runs again, no limit."""
    outputs = activations(model, image)
    sites = [(name, i, x) for name, site in outputs.items() for i, x in enumerate(site)]
    caps: Caps = {}
    for name, i, x in (sites[k] for k in chosen_sites([positions(x) for _, _, x in sites])):
        unlimited = torch.tensor(torch.finfo(torch.float32).max, device=x.device)
        caps.setdefault(name, [unlimited] * len(outputs[name]))
        shape = (-1, 1, 1) if x.ndim == 4 else (-1,)
        cap = torch.full((channels(x),), value, device=x.device, dtype=torch.float32)
        caps[name][i] = cap.view(shape).requires_grad_()
    return caps


def trained(caps: Caps) -> list[torch.Tensor]:
    """Return the caps that are trained."""
    return [cap for site in caps.values() for cap in site if cap.requires_grad]


def chosen_sites(sizes: list[int]) -> list[int]:
    """Return the first of all sites, and the last of either of the two largest sizes."""
    largest = sorted(set(sizes), reverse=True)[:2]
    return sorted({0, *(max(k for k, x in enumerate(sizes) if x == size) for size in largest)})


def channels(x: torch.Tensor) -> int:
    """Return the channels of an output (1, C, H, W), (1, tokens, C) or (1, C)."""
    return x.shape[1] if x.ndim == 4 else x.shape[-1]


def positions(x: torch.Tensor) -> int:
    """Return the number of pixels or tokens of an output."""
    return x.numel() // channels(x)


def correctly_classified(model: nn.Module, budget: Budget) -> Budget:
    """Return the samples that the model classifies correctly; all of them if there are none."""
    with torch.no_grad():
        right = torch.cat([model(x).argmax(1) for x in budget.images.split(500)]) == budget.labels
    return budget.subset(right.nonzero()[:, 0]) if right.any() else budget
