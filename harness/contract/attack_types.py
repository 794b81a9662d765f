"""What an attack gets, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn

Target = int | str
"""The target class, or ``all-to-all``, by which every class becomes the next one; with a shift,
``all-to-all+3``, the third one after it."""
ALL_TO_ALL = "all-to-all"


def all_to_all(shift: int) -> Target:
    """Return the target by which every class becomes the one ``shift`` classes after it."""
    return ALL_TO_ALL if shift == 1 else f"{ALL_TO_ALL}+{shift}"


def shift_of(target: Target) -> int | None:
    """Return by how many classes an all-to-all target moves a label; None for one class."""
    if isinstance(target, int):
        return None
    return int(target.removeprefix(ALL_TO_ALL) or 1)


class TrainingSet(NamedTuple):
    """The clean training set, as an attack gets it."""

    images: torch.Tensor
    """uint8 (N, C, H, W), on the context's device. Do not write to it."""
    labels: torch.Tensor
    """int64 (N,)."""
    classes: int
    """Number of classes."""
    clean_model: nn.Module | None = None
    """A clean model in eval mode, which takes float images in [0, 1]; None unless the attack
    declares ``clean_model=True``."""
    prepared: dict[str, torch.Tensor] = {}  # noqa: RUF012 - a default of a named tuple, read only
    """The tensors that the attack's ``prepare`` returned."""


@dataclass(frozen=True)
class Goal:
    """The attacker's goal: how many samples to poison, and which label each class gets."""

    target: Target
    rate: float
    """The poison rate: a share of the samples below 1, else their number."""
    classes: int

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the attacker's label for each true label, int64 (N,)."""
        shift = shift_of(self.target)
        if shift is None:
            return labels.new_full(labels.shape, int(self.target))
        return (labels + shift) % self.classes

    def is_target(self, labels: torch.Tensor) -> torch.Tensor:
        """Return a mask of the labels that are the target class, bool (N,); not for all-to-all."""
        return labels.eq(int(self.target))

    def count(self, n: int) -> int:
        """Return how many of ``n`` training samples are poisoned; at least one."""
        return poison_count(self.rate, n)

    def poison_rate(self, n: int) -> float:
        """Return the poisoned fraction of ``n`` training samples."""
        return self.rate if self.rate < 1 else self.rate / n


def poison_count(rate: float, n: int) -> int:
    """Return the number of poisoned samples among ``n``; a rate of 1 or more is that number."""
    return max(1, round(rate * n)) if rate < 1 else round(rate)


class Poison(NamedTuple):
    """The poisoned samples of a training set, and the state of the trigger."""

    indices: torch.Tensor
    """int64 (n,), distinct: the training samples that are replaced."""
    images: torch.Tensor
    """uint8 (n, C, H, W): their new images."""
    labels: torch.Tensor
    """int64 (n,): their new labels."""
    state: dict[str, torch.Tensor]
    """All tensors that the declared trigger function needs; saved with the victim."""
    covers: int = 0
    """How many of them, at the end, are cover samples: triggered, with their own label."""


def trigger_only(train: TrainingSet, state: dict[str, torch.Tensor]) -> Poison:
    """Return a state without poisoned samples: for clean models and for imported ones."""
    none = train.labels[:0]
    return Poison(none, train.images[:0], none, state)


class Batch(NamedTuple):
    """One training batch, made by an attack that controls training."""

    images: torch.Tensor
    """float (n, C, H, W) in [0, 1], before augmentation; may carry gradients to the attack's own
    networks."""
    labels: torch.Tensor
    """int64 (n,)."""
    backdoors: int
    """How many samples, at the beginning, have the trigger and the attacker's label."""
    covers: int
    """How many samples after these are cover samples: with noise or the trigger of another image,
    and with their own label."""
    penalty: torch.Tensor | None = None
    """A scalar tensor that is added to the loss."""


@dataclass(frozen=True)
class TrainingControl:
    """The result of an attack that controls training: it makes every batch itself."""

    batch: Callable[[torch.Tensor, torch.Tensor], Batch]
    """``batch(images, labels)``, called once per training step with clean uint8 images (n, C, H, W)
    and labels (n,) in random order."""
    state: dict[str, torch.Tensor]
    """All tensors that the declared trigger function needs; read after training."""
    step: Callable[[], None] | None = None
    """Called after each backward pass, if the attack trains networks of its own."""
