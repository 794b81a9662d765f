"""Trigger inversion of Neural Cleanse: the smallest trigger that sends clean images to a class.

Wang et al., "Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks", IEEE
S&P 2019.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, TriggerInversion
from harness.toolbox.loops import batch_count, batches
from harness.toolbox.masks.fold_batchnorm import inference_copy

MAD_TO_STD = 1.4826
"""Factor from the median absolute deviation of a normal distribution to its standard deviation."""
ANOMALY_THRESHOLD = 2.0
"""A class with an anomaly index above it is flagged as a target."""


@dataclass(frozen=True)
class InvertedTrigger:
    """A mask (1, H, W) in [0, 1] and a pattern (C, H, W) in [0, 1]."""

    mask: torch.Tensor
    pattern: torch.Tensor

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (n, C, H, W) with the trigger."""
        return (1 - self.mask) * images + self.mask * self.pattern

    def size(self) -> torch.Tensor:
        """Return the mask's L1 norm."""
        return self.mask.abs().sum()


class _Search:
    """The best trigger so far, and the size penalty, which is adapted to the success rate."""

    def __init__(self, hyper: TriggerInversion) -> None:
        self.hyper = hyper
        self.cost = hyper.cost
        self.best: InvertedTrigger | None = None
        self._size = float("inf")
        self._idle = self._up = self._down = 0
        self._raised = self._lowered = False

    def update(self, trigger: InvertedTrigger, size: float, success: float) -> bool:
        """Take the result of an epoch, adapt the penalty, and return whether the search is over."""
        works, smallest = success >= self.hyper.success, self._size
        if self.best is None or (works and size < smallest):
            self.best = trigger
        if works:
            self._size = min(size, smallest)
        if self._size < float("inf"):
            self._idle = self._idle + 1 if self._size >= 0.99 * smallest else 0
        if self._raised and self._lowered and self._idle >= self.hyper.stop_patience:
            return True
        self._up, self._down = (self._up + 1, 0) if works else (0, self._down + 1)
        if self._up >= self.hyper.cost_patience:
            self._up, self._raised = 0, True
            self.cost *= self.hyper.cost_factor
        elif self._down >= self.hyper.cost_patience:
            self._down, self._lowered = 0, True
            self.cost /= self.hyper.cost_factor**1.5
        return False


def invert_class(
    model: nn.Module, budget: Budget, label: int, hyper: TriggerInversion, ctx: Context
) -> InvertedTrigger:
    """Return the smallest trigger found that sends clean images to a class; ``model`` is frozen."""
    mask = torch.ones_like(budget.images[0, :1]).requires_grad_()
    pattern = torch.ones_like(budget.images[0]).requires_grad_()
    optimiser = torch.optim.Adam([mask, pattern], hyper.inversion_lr, betas=(0.5, 0.9))
    search = _Search(hyper)
    steps = max(batch_count(budget, hyper.inversion_batch), hyper.inversion_steps)
    passes = (
        batches(budget, hyper.inversion_batch, ctx, augment=hyper.inversion_augment)
        for _ in itertools.count()
    )
    endless = itertools.chain.from_iterable(passes)
    for _ in range(hyper.inversion_epochs):
        sizes, successes = [], []
        for x, _ in itertools.islice(endless, steps):
            trigger = _to_unit_range(mask, pattern)
            logits = model(trigger.apply(x))
            target = torch.full((len(x),), label, device=x.device)
            loss = F.cross_entropy(logits, target) + search.cost * trigger.size()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            sizes.append(trigger.size().detach())
            successes.append((logits.argmax(1) == label).float().mean())
        ctx.check()
        now = _to_unit_range(mask.detach(), pattern.detach())
        size, success = (sum(torch.stack(x).tolist()) / steps for x in (sizes, successes))
        if search.update(now, size, success):
            break
    assert search.best is not None
    return search.best


def _to_unit_range(mask: torch.Tensor, pattern: torch.Tensor) -> InvertedTrigger:
    return InvertedTrigger(mask.tanh() / 2 + 0.5, pattern.tanh() / 2 + 0.5)


def invert_all_classes(
    model: nn.Module, budget: Budget, hyper: TriggerInversion, ctx: Context
) -> tuple[list[InvertedTrigger], torch.Tensor]:
    """Return one trigger per class, and the anomaly index of each, (classes,)."""
    triggers, frozen = [], inference_copy(model, budget.images[:1])
    for label in range(budget.classes):
        triggers.append(invert_class(frozen, budget, label, hyper, ctx))
        ctx.log(label, size=triggers[-1].size().item())
    return triggers, anomaly_index(torch.stack([trigger.size() for trigger in triggers]))


def anomaly_index(sizes: torch.Tensor) -> torch.Tensor:
    """Return (median - size) / (1.4826 MAD) of the masks' sizes, (classes,) each.

    Above 2 the class is a likely target.
    """
    median = sizes.median()
    spread = MAD_TO_STD * (sizes - median).abs().median()
    return (median - sizes) / spread.clamp_min(torch.finfo(sizes.dtype).tiny)
