"""The training loop of victims, and of defenses that fine-tune on cross-entropy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Context, Recipe, TrainingControl
from harness.data.augment import Augment
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
    optimiser = torch.optim.SGD(
        model.parameters(), recipe.lr, recipe.momentum, 0, recipe.weight_decay, recipe.nesterov
    )
    lr_factor = _lr_schedule(recipe, recipe.epochs * steps)
    arithmetic = training_numerics(recipe, ctx.device)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(labels), generator=ctx.generator).to(ctx.device)
        total = torch.zeros((), device=ctx.device)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            x, y = images[chosen], labels[chosen]
            penalty = None
            if control is not None:
                x, y, _, _, penalty = control.batch(x, y)
            x = as_float(augment(x, ctx.generator) if recipe.augment else x)
            optimiser.param_groups[0]["lr"] = recipe.lr * lr_factor(epoch * steps + step)
            with numerics(arithmetic, ctx.device):
                loss = F.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
            optimiser.zero_grad()
            with numerics(WITHOUT_AUTOCAST[arithmetic], ctx.device):
                (loss if penalty is None else loss + penalty).backward()
            optimiser.step()
            if control is not None and control.step is not None:
                control.step()
            total += loss.detach()
            ctx.check()
        ctx.log(epoch, loss=float(total) / steps)
    return model.eval()


def _lr_schedule(recipe: Recipe, total: int) -> Callable[[int], float]:
    """Return the factor on ``recipe.lr`` at each of ``total`` steps."""
    if recipe.schedule == "constant":
        return lambda _: 1.0
    if recipe.schedule == "cosine":
        return lambda step: 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / total)).item())
    peak = max(1, round(WARM_UP * total))
    return lambda step: min((step + 1) / peak, (total - step) / max(1, total - peak))
