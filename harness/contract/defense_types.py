"""What a defense is given, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.data.augment import Augment


@dataclass(frozen=True)
class Budget:
    """The clean samples that a defender has, validation data included."""

    images: torch.Tensor
    """float (n, C, H, W) in [0, 1], on the device."""
    labels: torch.Tensor
    """int64 (n,): true labels."""
    classes: int
    augment: Augment
    """The data set's training augmentation: ``augment(images, generator)``."""
    triggered: torch.Tensor | None = None
    """The same images with the real trigger; only for a defense that declares
    ``needs="triggers"``."""
    groups: torch.Tensor | None = None
    """int64 (n,), the same for near copies of each other (frames of one GTSRB track); None if
    unknown."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def subset(self, indices: torch.Tensor) -> Budget:
        """Return the samples at ``indices``, int64 (k,)."""
        triggered, groups = (
            None if x is None else x[indices] for x in (self.triggered, self.groups)
        )
        return Budget(
            self.images[indices],
            self.labels[indices],
            self.classes,
            self.augment,
            triggered,
            groups,
        )


@dataclass(frozen=True)
class Defended:
    """A defense's result, where a model alone does not say it all."""

    model: nn.Module
    artifacts: dict[str, torch.Tensor] = field(default_factory=dict)
    """Small tensors to keep: masks, scores."""
    companions: dict[str, nn.Module] = field(default_factory=dict)
    """Other networks whose ACC, ASR and RA belong in the record (the inverse network of IMS). Their
    weights are not saved: what they can be rebuilt from belongs among the artifacts."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the record says besides, of a method that is not all here (the commit of an external
    script)."""
