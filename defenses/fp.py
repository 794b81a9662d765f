"""FP (Fine-Pruning): prune the features that clean data leave dormant, then fine-tune.

Liu, Dolan-Gavitt, Garg, "Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural
Networks", arXiv 1805.12185. Threat model: clean samples only.

The settings are those of the IMS comparison (arXiv 2509.15497), which prunes the inputs of the last
linear layer (the pooled features) in the order of their mean activation on clean training data, 1 %
at a time, until clean validation accuracy has fallen by 10 % of what it was; then it fine-tunes for
100 epochs with the pruned features kept at zero. Departures: the step that broke the tolerance is
undone (their code fine-tunes the over-pruned network: an alias of the module, not a copy); the k-th
step prunes k % of the features (theirs one fewer); activations are averaged over unaugmented images
(theirs over one augmented view of each, so that with few images the order depends on chance).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import prune

from harness.contract import Budget, Context, Defended, FineTuning, Share, defense
from harness.toolbox import accuracy, fine_tune_, hold_out


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """When pruning stops, and the fine-tuning that follows."""

    step: Share = 0.01
    """Share of the features that each step prunes."""
    tolerance: Share = 0.1
    """Relative fall of clean validation accuracy at which pruning stops."""
    val_share: Share = 0.1


@defense(
    paper="Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks, "
    "arXiv 1805.12185",
    year=2018,
    family="pruning",
    version=1,
    display_name="FP",
    least_spc=2,
    varied=("tolerance", "lr"),
)
def fp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Prune the last linear layer's dormant inputs and fine-tune; return model, mask and means."""
    train, val = hold_out(budget, hyper.val_share, ctx)
    name, linear = _last_linear(model)
    means = _mean_inputs(model, linear, train)
    keep = _kept_inputs(model, linear, means.argsort(), val, hyper, ctx)
    prune.custom_from_mask(linear, "weight", keep.expand_as(linear.weight))
    fine_tune_(model, (train.images, train.labels), hyper, train.augment, ctx)
    prune.remove(linear, "weight")
    return Defended(model, artifacts={f"mask.{name}": keep, f"order.{name}": means.float()})


def _last_linear(model: nn.Module) -> tuple[str, nn.Linear]:
    linears = [
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)
    ]
    if not linears:
        raise ValueError(
            "Fine-Pruning prunes the inputs of the last linear layer; this model has none"
        )
    return linears[-1]


@torch.no_grad()
def _mean_inputs(model: nn.Module, linear: nn.Linear, budget: Budget) -> torch.Tensor:
    """Return the mean input of the layer over clean samples, (features,)."""
    seen: list[torch.Tensor] = []
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.eval()
    for chunk in budget.images.split(500):
        model(chunk)
    hook.remove()
    return torch.cat(seen).mean(0)


@torch.no_grad()
def _kept_inputs(
    model: nn.Module,
    linear: nn.Linear,
    order: torch.Tensor,
    val: Budget,
    hyper: Hyper,
    ctx: Context,
) -> torch.Tensor:
    """Return which inputs are kept, (features,) of 0 and 1; the layer's weight is restored."""
    weight = linear.weight.clone()
    keep = torch.ones_like(order, dtype=weight.dtype)
    before = accuracy(model, val)
    step = math.ceil(len(order) * hyper.step)
    for n in range(step, len(order), step):
        candidate = keep.clone()
        candidate[order[:n]] = 0
        linear.weight.copy_(weight * candidate)
        now = accuracy(model, val)
        ctx.log(n, pruned=n, val_acc=now)
        if abs(now - before) >= hyper.tolerance * before:
            break
        keep = candidate
    linear.weight.copy_(weight)
    return keep
