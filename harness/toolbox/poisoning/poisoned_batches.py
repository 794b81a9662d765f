"""For attacks that control training: how many samples of each batch are changed, exact over the whole run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.contract import Batch, Goal
from harness.toolbox.fit import as_float

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Quota:
    """Hands out a share of all samples, batch by batch, never more than half a sample off.

    A share that comes to less than one sample per batch is met by some batches and not by others.
    (BackdoorBench draws those at random; the count is then right only on average.)
    """

    share: float
    seen: int = 0
    given: int = 0

    def take(self, n: int, most: int) -> int:
        """Return how many samples of the next ``n`` are due, at most ``most``."""
        self.seen += n
        due = min(round(self.share * self.seen) - self.given, most)
        self.given += due
        return due


@dataclass
class BatchPoisoner:
    """Makes batches: backdoors first, covers next, the rest as it is."""

    goal: Goal
    backdoors: Quota
    covers: Quota

    def parts(self, n: int) -> tuple[int, int]:
        """Return how many of a batch of ``n`` are backdoors, and how many are covers."""
        first = self.backdoors.take(n, n)
        return first, self.covers.take(n, n - first)

    def batch(
        self, images: torch.Tensor, labels: torch.Tensor, stamp: Change, cover: Change
    ) -> Batch:
        """Return a batch of uint8 images with ``stamp`` on the backdoors and ``cover`` on the covers."""
        first, covers = self.parts(len(labels))
        x = as_float(images)
        both = first + covers
        changed = torch.cat([stamp(x[:first]), cover(x[first:both]), x[both:]])
        wanted = torch.cat([self.goal.labels(labels[:first]), labels[first:]])
        return Batch(changed, wanted, first, covers)


def random_images(train_images: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
    """Return ``n`` random training images, with repeats, as float (n, C, H, W) in [0, 1]."""
    chosen = torch.randint(len(train_images), (n,), generator=generator)
    return as_float(train_images[chosen.to(train_images.device)])
