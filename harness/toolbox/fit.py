"""The training loop of victims, and of defenses that fine-tune on cross-entropy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Context, Recipe, TrainingControl
from harness.data.augment import Augment
from harness.toolbox.graphed_step import GraphedStep, optimiser_state
from harness.toolbox.numerics import WITHOUT_AUTOCAST, numerics, training_numerics
from harness.toolbox.predict import as_float

WARM_UP = 0.2
"""The share of all steps in which the one-cycle schedule rises."""


def fit(
    model: nn.Module,
    samples: tuple[torch.Tensor, torch.Tensor],
    recipe: Recipe,
    augment: Augment,
    ctx: Context,
    control: TrainingControl | None = None,
) -> nn.Module:
    """Train all parameters of ``model`` in place on cross-entropy and return it in eval mode.

    Args:
        model: takes float images (N, C, H, W) in [0, 1].
        samples: images (N, C, H, W), uint8 or float in [0, 1], and int64 labels (N,), on
            ``ctx.device``.
        recipe: optimiser and schedule. An epoch drops its last incomplete batch; fewer samples
            than a batch are one batch.
        augment: applied per sample where the recipe asks for augmentation.
        ctx: generator of the order and the augmentation, deadline, and log (loss per epoch).
        control: an attack that makes each batch itself, before augmentation, and may add to the
            loss.

    Raises:
        OutOfTimeError: the deadline passes.
    """
    images, labels = samples
    batch = min(recipe.batch, len(labels))
    steps = len(labels) // batch
    model.train().to(memory_format=torch.channels_last)
    optimiser = _sgd(model, recipe, ctx.device)
    lr_factor = _lr_schedule(recipe, recipe.epochs * steps)
    arithmetic = training_numerics(recipe, ctx.device)
    augment = augment if recipe.augment else Augment()

    def descend(x: torch.Tensor, y: torch.Tensor, penalty: torch.Tensor | None) -> torch.Tensor:
        x = as_float(x).contiguous(memory_format=torch.channels_last)
        with numerics(arithmetic, ctx.device):
            loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        with numerics(WITHOUT_AUTOCAST[arithmetic], ctx.device):
            (loss if penalty is None else loss + penalty).backward()
        optimiser.step()
        return loss.detach()

    def step(chosen: torch.Tensor, drawn: torch.Tensor) -> tuple[torch.Tensor]:
        return (descend(augment.apply(images[chosen], drawn), labels[chosen], None),)

    def attacked_step(control: TrainingControl, chosen: torch.Tensor) -> torch.Tensor:
        x, y, _, _, penalty = control.batch(images[chosen], labels[chosen])
        loss = descend(augment(x, ctx.generator), y, penalty)
        if control.step is not None:
            control.step()
        return loss

    graphed = GraphedStep(step, ctx.device, lambda: _changing(model, optimiser))
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=ctx.generator)[: steps * batch]
        chosen = order.view(steps, batch).to(ctx.device)
        if control is None:  # the draws of an epoch go to the device at once
            draws = [augment.draw(batch, images.shape[2:], ctx.generator) for _ in range(steps)]
            drawn = torch.stack(draws).to(ctx.device)
        total = torch.zeros((), device=ctx.device)
        for i in range(steps):
            _set_lr(optimiser, recipe.lr * lr_factor(epoch * steps + i))
            if control is None:
                total += graphed(chosen[i], drawn[i])[0]
            else:
                total += attacked_step(control, chosen[i])
            ctx.check()
        ctx.log(epoch, loss=float(total) / steps)
    return model.eval()


def _sgd(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.SGD:
    """Return the optimiser; on CUDA with its learning rate there, where a graph reads it."""
    on_gpu = device.type == "cuda"
    return torch.optim.SGD(
        model.parameters(),
        torch.tensor(recipe.lr, device=device) if on_gpu else recipe.lr,
        recipe.momentum,
        0,
        recipe.weight_decay,
        recipe.nesterov,
        fused=on_gpu or None,
    )


def _set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    group = optimiser.param_groups[0]
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def _changing(model: nn.Module, optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return what a step of training changes."""
    return [*model.parameters(), *model.buffers(), *optimiser_state(optimiser)]


def _lr_schedule(recipe: Recipe, total: int) -> Callable[[int], float]:
    """Return the factor on ``recipe.lr`` at each of ``total`` steps."""
    if recipe.schedule == "constant":
        return lambda _: 1.0
    if recipe.schedule == "cosine":
        return lambda step: 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / total)).item())
    peak = max(1, round(WARM_UP * total))
    return lambda step: min((step + 1) / peak, (total - step) / max(1, total - peak))
