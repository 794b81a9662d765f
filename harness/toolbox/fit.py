"""The training loop of victims, and of defenses that fine-tune on cross-entropy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Context, Recipe, TrainingControl
from harness.data.augment import Augment
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
    bf16 = uses_bf16(recipe, ctx.device)
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
            with torch.autocast(ctx.device.type, torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
            optimiser.zero_grad()
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


def uses_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Return whether a recipe trains under bf16 autocast on this device."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
