"""Hyperparameters that two methods or more share, for a ``Hyper`` to inherit. Light, as declarations are."""

from __future__ import annotations

from dataclasses import dataclass

from harness.contract.types import Count, NonNegative, NonNegativeCount, Positive, Share


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """SGD on cross-entropy, cosine to zero. The defaults are those of the IMS comparison."""

    epochs: Count = 100
    batch: Count = 256
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4


@dataclass(frozen=True, kw_only=True)
class InvertibleMasks:
    """IMS: masks, the inner search, and the three stages. The defaults are the authors' for CNNs."""

    k: Positive = 20
    """Sharpness of the mask's sigmoid."""
    sparsity: NonNegative = 10
    """lambda, the weight of the mean of 1 - s in stages A and C."""
    lr: Positive = 0.02
    """Of the masks (AdamW)."""
    inner_lr: Positive = 0.001
    """Of the perturbation (AdamW), in units of pixel values in [0, 1]."""
    inner_steps: NonNegativeCount = 20
    bound: Positive = 1
    """Largest absolute perturbation of a pixel value."""
    initial_rounds: NonNegativeCount = 100
    """At most so many rounds in stage A; 0 leaves it out."""
    rounds: NonNegativeCount = 200
    """At most so many rounds in each of the stages B and C."""
    patience: NonNegativeCount = 25
    """A stage ends after more than so many rounds without improvement."""
    improvement: Share = 0.98
    """A loss below this share of the best one is an improvement."""
    batch: Count = 256
    selection: bool = True
    """False fixes s = 0: every pair of gates is complementary, and the sparsity term falls away."""
    hard: bool = False
    """Cut channels whose mask is below 1/2, open the others fully; the soft network becomes a
    companion."""
    stages: bool = False
    """Also evaluate the masked networks as they are after stage A and after stage B."""
    bf16_search: bool = False
    """Search the perturbations under bf16 autocast: faster, and it finds others."""


@dataclass(frozen=True, kw_only=True)
class TriggerInversion:
    """Neural Cleanse: one mask and pattern per class (Adam). The defaults are those of the IMS comparison."""

    inversion_epochs: Count = 80
    inversion_steps: Count = 10
    """The fewest steps of an epoch, whatever the size of the budget."""
    inversion_batch: Count = 256
    inversion_lr: Positive = 0.1
    cost: Positive = 1e-3
    """First weight of the mask's L1 norm."""
    cost_factor: Positive = 2
    """The weight is multiplied by it while the trigger works, and divided by its power 1.5 while
    not."""
    cost_patience: Count = 5
    """Epochs after which the weight changes."""
    success: Share = 0.98
    """Share of clean images that the trigger must lead to the class."""
    stop_patience: Count = 25
    """Epochs without a mask smaller by 1 % before an inversion ends."""


@dataclass(frozen=True, kw_only=True)
class GradientPruning:
    """Grad-Prune: when pruning and the fine-tuning after it stop. The defaults are the authors'."""

    val_share: Share = 0.1
    tolerance: Share = 0.1
    """Absolute fall of clean validation accuracy at which pruning stops."""
    patience: Count = 10
    """Filters pruned in a row without a lower validation loss on triggered images."""
    tuning_patience: Count = 10
    """Epochs in a row without a lower clean validation loss."""
    tuning_epochs: Count = 1000
    """At most so many epochs of fine-tuning."""
    batch: Count = 128
    lr: Positive = 1e-3
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
