"""What a defense gets, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.data.augment import Augment


@dataclass(frozen=True)
class Budget:
    """The clean samples that a defense has; it takes its validation data from them."""

    images: torch.Tensor
    """float (n, C, H, W) in [0, 1], on the context's device."""
    labels: torch.Tensor
    """int64 (n,): the true labels."""
    classes: int
    augment: Augment
    """The data set's training augmentation: ``augment(images, generator)``."""
    triggered: torch.Tensor | None = None
    """float (n, C, H, W): the same images with the real trigger; None unless the defense declares
    ``needs="triggers"``."""
    groups: torch.Tensor | None = None
    """int64 (n,): near copies of each other (frames of one GTSRB track) have the same number; None
    if unknown."""

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
    """The result of a defense that returns more than a model."""

    model: nn.Module
    artifacts: dict[str, torch.Tensor] = field(default_factory=dict)
    """Small tensors to keep in the store: masks, scores."""
    companions: dict[str, nn.Module] = field(default_factory=dict)
    """Other networks to evaluate, such as the inverse network of IMS: the record holds their ACC,
    ASR and RA. Their weights are not saved; keep what they are rebuilt from in ``artifacts``."""
    notes: dict[str, str] = field(default_factory=dict)
    """Extra facts for the record, e.g. the commit of an external script."""
