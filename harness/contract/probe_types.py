"""What a probe gets beside the model that it tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.contract.attack_types import Goal, TrainingSet
    from harness.data.augment import Augment


class EvaluationImages(NamedTuple):
    """The test images with and without the trigger, uint8, and their labels, on the device."""

    clean: torch.Tensor
    """(N, C, H, W): all test images."""
    labels: torch.Tensor
    """int64 (N,): their true labels."""
    untriggered: torch.Tensor
    """(n, C, H, W): the clean images that the triggered ones are copies of."""
    triggered: torch.Tensor
    """(n, C, H, W): the images whose true class is not the one that the attacker wants, with the
    trigger."""
    truth: torch.Tensor
    """int64 (n,): their true labels."""
    wanted: torch.Tensor
    """int64 (n,): the labels that the attacker wants."""


@dataclass(frozen=True)
class Attacker:
    """What the attacker has, whose part a probe plays. Nothing of it ever reaches a defense."""

    victim: nn.Module
    """A copy of the backdoored model, in eval mode."""
    train: TrainingSet
    """The clean training set; ``clean_model`` is there if the probe declares that it needs one."""
    augment: Augment
    """The data set's training augmentation: ``augment(images, generator)``."""
    goal: Goal
    """Which label the attacker wants for each true one."""
    trigger: Callable[[torch.Tensor], torch.Tensor] | None
    """Puts the trigger on float images (n, C, H, W) in [0, 1]; None unless the probe declares that
    it needs it."""
    test: EvaluationImages
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What the defense kept beside its model (``Defended.artifacts``), on the device, for a probe
    that does not need the model itself; empty where it kept nothing, and for the controls."""
