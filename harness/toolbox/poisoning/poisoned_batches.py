"""Poisoned batches for attacks that control training, with exact counts over the whole run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.contract import Batch, Goal
from harness.toolbox.predict import as_float

Change = Callable[[torch.Tensor], torch.Tensor]
"""Maps float images (n, C, H, W) in [0, 1] to changed ones."""


@dataclass
class Quota:
    """Distributes a share of all samples over the batches, never more than half a sample off.

    Where the share is less than one sample per batch, some batches get one and others none.
    (BackdoorBench draws those at random; the count is then right only on average.)
    """

    share: float
    seen: int = 0
    taken: int = 0

    def take(self, n: int, limit: int) -> int:
        """Return how many of the next ``n`` samples to change, at most ``limit``."""
        self.seen += n
        due = min(round(self.share * self.seen) - self.taken, limit)
        self.taken += due
        return due


@dataclass
class BatchPoisoner:
    """Makes batches: backdoor samples first, then covers, then clean samples."""

    goal: Goal
    backdoors: Quota
    covers: Quota

    def counts(self, n: int) -> tuple[int, int]:
        """Return how many samples of a batch of ``n`` are backdoors, and how many are covers."""
        first = self.backdoors.take(n, n)
        return first, self.covers.take(n, n - first)

    def batch(
        self, images: torch.Tensor, labels: torch.Tensor, trigger: Change, cover: Change
    ) -> Batch:
        """Return a batch of uint8 images, changed by ``trigger`` and by ``cover``.

        Backdoor samples get the attacker's label, covers keep their own.
        """
        first, covers = self.counts(len(labels))
        x = as_float(images)
        end = first + covers
        changed = torch.cat([trigger(x[:first]), cover(x[first:end]), x[end:]])
        new_labels = torch.cat([self.goal.labels(labels[:first]), labels[first:]])
        return Batch(changed, new_labels, first, covers)


def random_images(train_images: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """Return ``n`` random training images, with repeats, as float (n, C, H, W) in [0, 1]."""
    chosen = torch.randint(len(train_images), (n,), generator=generator)
    return as_float(train_images[chosen.to(train_images.device)])
