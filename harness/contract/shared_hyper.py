"""Hyperparameters that several methods share: base classes of their ``Hyper``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.contract.later_fields import added
from harness.contract.types import Count, NonNegative, NonNegativeCount, Positive, Share


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Fine-tuning: SGD on cross-entropy, learning rate cosine to zero.

    The defaults are those of the IMS comparison (arXiv 2509.15497).
    """

    epochs: Count = 100
    batch: Count = 256
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4


@dataclass(frozen=True, kw_only=True)
class InvertibleMasks:
    """IMS: the masks, the inner search and the three stages.

    The defaults are the authors' for CNNs (arXiv 2509.15497).
    """

    k: Positive = 20
    """Steepness of the mask's sigmoid."""
    sparsity: NonNegative = 10
    """lambda: weight of the mean of 1 - s in stages A and C."""
    lr: Positive = 0.02
    """Learning rate of the masks (AdamW)."""
    inner_lr: Positive = 0.001
    """Learning rate of the perturbation (AdamW), for pixel values in [0, 1]."""
    inner_steps: NonNegativeCount = 20
    bound: Positive = 1
    """Largest absolute perturbation of a pixel value."""
    initial_rounds: NonNegativeCount = 100
    """Largest number of rounds in stage A; 0 skips it."""
    rounds: NonNegativeCount = 200
    """Largest number of rounds in stage B, and in stage C."""
    patience: NonNegativeCount = 25
    """A stage ends after more than this many rounds without improvement."""
    improvement: Share = 0.98
    """A loss is an improvement if it is below this fraction of the best one."""
    batch: Count = 256
    selection: bool = True
    """False fixes s = 0: every pair of gates is complementary, and there is no sparsity term."""
    hard: bool = False
    """Round the masks: gates below 1/2 to 0, the others to 1. The network with soft masks becomes a
    companion."""
    stages: bool = False
    """Also evaluate the masked networks after stage A and after stage B."""
    bf16_search: bool = False
    """Search perturbations in bf16, whatever the study's ``numerics``; other results, faster."""


@dataclass(frozen=True, kw_only=True)
class TriggerInversion:
    """Neural Cleanse: one mask and one pattern per class, by Adam.

    The defaults are those of the IMS comparison (arXiv 2509.15497).
    """

    inversion_epochs: Count = 80
    inversion_steps: Count = 10
    """Smallest number of steps per epoch, whatever the size of the budget."""
    inversion_batch: Count = 256
    inversion_lr: Positive = 0.1
    cost: Positive = 1e-3
    """Initial weight of the mask's L1 norm."""
    cost_factor: Positive = 2
    """The weight is multiplied by it while the trigger works, and divided by its power 1.5 while it
    does not."""
    cost_patience: Count = 5
    """Number of epochs after which the weight changes."""
    success: Share = 0.98
    """The trigger works if at least this fraction of clean images is classified as the class."""
    stop_patience: Count = 25
    """An inversion ends after this many epochs in which the mask did not shrink by 1 %."""
    inversion_augment: bool = added(True)


@dataclass(frozen=True, kw_only=True)
class GradientPruning:
    """Grad-Prune: when pruning, and the fine-tuning after it, stop.

    The defaults are the authors'.
    """

    val_share: Share = 0.1
    tolerance: Share = 0.1
    """Pruning stops when clean validation accuracy has dropped by this much (absolute)."""
    patience: Count = 10
    """Pruning stops after this many filters without a lower validation loss on triggered images."""
    tuning_patience: Count = 10
    """Fine-tuning stops after this many epochs without a lower clean validation loss."""
    tuning_epochs: Count = 1000
    """Largest number of epochs of fine-tuning."""
    batch: Count = 128
    lr: Positive = 1e-3
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4


@dataclass(frozen=True, kw_only=True)
class Retuning:
    """Tuning on a few poisoned images, which is the attacker's.

    The defaults are those of the re-tuning attack (arXiv 2410.09838): 40 steps on 2 % of CIFAR-10,
    five of the 1,000 images triggered.
    """

    share: Share = 0.02
    """The share of the training set that the attacker tunes on."""
    poisoned: Share = 0.005
    """The share of these images that have the trigger and the attacker's label."""
    least_poisoned: NonNegativeCount = 5
    """The fewest of them, unless their share is 0."""
    epochs: Count = 5
    batch: Count = 128
    lr: Positive = 0.01
    momentum: Share = 0.9
    gates: Literal["folded", "frozen"] = "folded"
    """folded: every weight is tuned. frozen: the factors by which the defense multiplied channels
    are kept, and the weights under them are tuned."""


@dataclass(frozen=True, kw_only=True)
class FeatureInversion:
    """BTI-DBF: a U-Net that changes all but the benign features of images.

    The defaults are the authors' (ICLR 2024). Bounds are mean squared errors.
    """

    pretraining_epochs: Count = 50
    """Epochs in which the U-Net learns to leave images as they are."""
    mask_epochs: Count = 20
    mask_lr: Positive = 0.01
    generator_epochs: Count = 30
    generator_lr: Positive = 0.001
    image_bound: Positive = 0.3
    """Largest change of normalised images for which features are changed at all."""
    feature_bound: Positive = 3
    """Largest change of benign features for which the others are changed at all."""
    width: Count = 32
    """Channels of the U-Net's first level."""
    inversion_batch: Count = 128
    label_noise: NonNegative = 0.03
    """Standard deviation, on normalised images, of the noise under which the target class is
    found."""
    authors_losses: bool = False
    """Whether pre-training compares softmax outputs as if they were logits, and the mask is trained
    with the batch's statistics, as in the authors' code; the U-Net is then trained against a copy
    with the running statistics that this leaves."""
