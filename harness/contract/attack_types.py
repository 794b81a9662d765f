"""What an attack is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn

Target = int | Literal["all-to-all"]


class TrainingSet(NamedTuple):
    """Clean training data, as an attack sees it."""

    images: torch.Tensor
    """uint8 (N, C, H, W), on the device; not to be written to."""
    labels: torch.Tensor
    """int64 (N,)."""
    classes: int
    clean_model: nn.Module | None = None
    """For an attack that declares it, in eval mode: takes float images in [0, 1]."""
    prepared: dict[str, torch.Tensor] = {}  # noqa: RUF012 - a default of a named tuple, read only
    """What the attack's own ``prepare`` made."""


@dataclass(frozen=True)
class Goal:
    """What the attacker wants: how many samples to poison, and which label each class is sent to."""

    target: Target
    rate: float
    """A share of the samples below 1, else their number."""
    classes: int

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the label that the attacker wants for each true label, int64 (N,)."""
        if self.target == "all-to-all":
            return (labels + 1) % self.classes
        return labels.new_full(labels.shape, self.target)

    def is_target(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which labels are the one target's, bool (N,); not for all-to-all."""
        return labels.eq(int(self.target))

    def count(self, n: int) -> int:
        """Return how many of ``n`` training samples are poisoned: at least one."""
        return poison_count(self.rate, n)

    def poison_rate(self, n: int) -> float:
        """Return the share of ``n`` training samples that is poisoned."""
        return self.rate if self.rate < 1 else self.rate / n


def poison_count(rate: float, n: int) -> int:
    """Return how many of ``n`` samples a rate comes to: a share below 1, else a number; at least one."""
    return max(1, round(rate * n)) if rate < 1 else round(rate)


class Poison(NamedTuple):
    """What an attack puts into the training set, and the state of its trigger."""

    indices: torch.Tensor
    """int64 (n,), without repeats: the training samples that are replaced."""
    images: torch.Tensor
    """uint8 (n, C, H, W): what replaces them."""
    labels: torch.Tensor
    """int64 (n,): their labels in training."""
    state: dict[str, torch.Tensor]
    """Everything that the declared trigger function needs; saved with the victim."""
    covers: int = 0
    """How many of them, the last ones, are covers: triggered samples that keep their own label."""


def trigger_only(train: TrainingSet, state: dict[str, torch.Tensor]) -> Poison:
    """Poison nothing: for a clean model, and for one that was trained elsewhere."""
    nothing = train.labels[:0]
    return Poison(nothing, train.images[:0], nothing, state)


class Batch(NamedTuple):
    """One batch as an attack that controls training makes it."""

    images: torch.Tensor
    """float (n, C, H, W) in [0, 1], before augmentation; gradients may lead to the attack's own
    networks."""
    labels: torch.Tensor
    """int64 (n,)."""
    backdoors: int
    """How many samples, the first ones, carry the trigger and the attacker's label."""
    covers: int
    """How many samples after them are covers: noise or foreign triggers, with their own label."""
    penalty: torch.Tensor | None = None
    """A scalar that is added to the loss."""


@dataclass(frozen=True)
class TrainingControl:
    """What an attack that controls training gives: it makes every batch itself."""

    batch: Callable[[torch.Tensor, torch.Tensor], Batch]
    """``batch(images, labels)``: clean uint8 images (n, C, H, W) and labels (n,) in random order;
    called once for every step of the training loop."""
    state: dict[str, torch.Tensor]
    """Everything that the declared trigger function needs, read when training has ended."""
    step: Callable[[], None] | None = None
    """Called after the gradients of a batch are known, where the attack trains networks of its
    own."""
