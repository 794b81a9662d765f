"""Mini-batches of a clean budget, and the loops that train on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR

from harness.contract import Budget, Context, FineTuning, Recipe
from harness.data.augment import Augment
from harness.toolbox.fit import fit

Samples = tuple[torch.Tensor, torch.Tensor]
"""Float images (n, C, H, W) in [0, 1] and int64 labels (n,)."""


def fine_tune_(
    model: nn.Module, samples: Samples, how: FineTuning, augment: Augment | None, ctx: Context
) -> nn.Module:
    """Train all parameters of a model in place on cross-entropy.

    Args:
        model: takes float images (N, C, H, W) in [0, 1].
        samples: images and labels, on ``ctx.device``.
        how: epochs, batch size, learning rate and so on; a ``Hyper`` that inherits ``FineTuning``.
        augment: usually ``budget.augment``; None uses the images as they are.
        ctx: generator, deadline, log (mean loss per epoch).

    Returns:
        the same model, in eval mode.
    """
    recipe = Recipe(
        epochs=how.epochs,
        batch=how.batch,
        lr=how.lr,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        augment=augment is not None,
        precision=ctx.numerics,
    )
    return fit(model, samples, recipe, augment or Augment(), ctx)


def batches(budget: Budget, size: int, ctx: Context, *, augment: bool = True) -> Iterator[Samples]:
    """Yield one pass over a budget in random order, in batches of equal size, at most ``size``."""
    for chosen in shuffled_indices(budget, size, ctx):
        images = budget.images[chosen]
        yield budget.augment(images, ctx.generator) if augment else images, budget.labels[chosen]


def random_batch(budget: Budget, size: int, ctx: Context, *, augment: bool = True) -> Samples:
    """Draw ``size`` samples of a budget with replacement."""
    chosen = torch.randint(len(budget), (size,), generator=ctx.generator).to(ctx.device)
    images = budget.images[chosen]
    return budget.augment(images, ctx.generator) if augment else images, budget.labels[chosen]


def shuffled_indices(budget: Budget, size: int, ctx: Context) -> tuple[torch.Tensor, ...]:
    """Return the indices of one pass over a budget in random order, in batches of at most ``size``.

    Batches are of about equal size, so that batch norm does not get a last batch of one image.
    """
    order = torch.randperm(len(budget), generator=ctx.generator).to(budget.labels.device)
    return order.chunk(batch_count(budget, size))


def batch_count(budget: Budget, size: int) -> int:
    """Return the number of batches of at most ``size`` in one pass."""
    return -(-len(budget) // size)


@dataclass(frozen=True)
class Loop:
    """Length, batch size, augmentation and schedule of ``train_epochs``."""

    epochs: int
    batch: int
    augment: bool = True
    cosine: bool = False
    """Whether the learning rate falls to zero over all steps, along a cosine."""
    wave: int = 0
    """Steps in which the cosine falls, before it rises for as many; 0: it falls over all steps."""
    cosine_per_epoch: bool = False
    """Whether the cosine moves after every epoch, and not after every step."""
    milestones: tuple[int, ...] = ()
    """Numbers of epochs after which the learning rate is multiplied by ``decay``; for loops without
    a cosine."""
    decay: float = 0.1

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> LRScheduler | None:
        """Return the schedule of a training of ``steps`` steps; None for a constant rate."""
        if self.cosine:
            length = self.epochs if self.cosine_per_epoch else self.wave or steps
            return CosineAnnealingLR(optimiser, length)
        return MultiStepLR(optimiser, self.milestones, self.decay) if self.milestones else None


@dataclass
class Patience:
    """Counts the steps in a row that did not lower a value."""

    limit: int
    """The patience has run out after this many such steps."""
    lowest: float = float("inf")
    factor: float = 1.0
    """A value counts as lower when it is below ``factor`` times the lowest one."""
    idle: int = 0

    def improves(self, value: float) -> bool:
        """Note a value, and return whether it is lower than all before."""
        lower = value < self.factor * self.lowest
        self.lowest, self.idle = (value, 0) if lower else (self.lowest, self.idle + 1)
        return lower

    def over(self) -> bool:
        """Return whether ``limit`` steps in a row brought nothing lower."""
        return self.idle >= self.limit


def train_epochs(
    budget: Budget,
    step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    loop: Loop,
    ctx: Context,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Take a step of an optimiser on every batch of every epoch.

    Args:
        budget: clean samples.
        step: leaves gradients on the optimiser's parameters, from images (n, C, H, W) and labels
            (n,), and returns the loss.
        optimiser: over the parameters to train, at the first learning rate of the schedule.
        loop: epochs, batch size, augmentation, schedule.
        ctx: generator, deadline, log (mean loss per epoch).
        stop: called after every epoch; True ends the training.

    Raises:
        OutOfTimeError: the deadline passes.
    """
    steps = loop.epochs * batch_count(budget, loop.batch)
    schedule = loop.schedule(optimiser, steps)
    moves_by_epoch = loop.cosine_per_epoch or bool(loop.milestones)
    for epoch in range(loop.epochs):
        losses = []
        for x, y in batches(budget, loop.batch, ctx, augment=loop.augment):
            optimiser.zero_grad()
            losses.append(step(x, y).detach())
            optimiser.step()
            if schedule is not None and not moves_by_epoch:
                schedule.step()
            ctx.check()
        if schedule is not None and moves_by_epoch:
            schedule.step()
        ctx.log(epoch, loss=torch.stack(losses).mean().item())
        if stop():
            return


def refresh_statistics_(model: nn.Module, budget: Budget, batch: int, ctx: Context) -> nn.Module:
    """Gather the running statistics of batch norm again, in one augmented pass over a budget.

    Returns:
        the same model, in eval mode.
    """
    model.train()
    with gathered_statistics(model):
        for x, _ in batches(budget, batch, ctx):
            model(x)
    return model.eval()


@contextmanager
def gathered_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, forward passes gather batch norm's running statistics again, as means over batches.

    Gradients are not recorded; batch norm is in train mode inside and in eval mode after it.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches
        norm.train()
    try:
        with torch.no_grad():
            yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
