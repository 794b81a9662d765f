"""BTI-DBF(U): invert the trigger in feature space with a U-Net, and unlearn its images.

Xu, Huang, Wei, Jiang, Ren, "Towards Reliable and Efficient Backdoor Trigger Inversion via
Decoupling Benign Features", ICLR 2024. Threat model: clean samples only.

A mask on the last feature map keeps what classifies clean images; a U-Net, at first trained to
leave images as they are, is trained to change all other features while image and benign features
stay within bounds (and, from the second round on, to give the class that the first round found);
the model then learns true labels for its images: a tenth of every batch, plus one, on CE + the mean
squared distance to the features of the clean batch. The settings are those of the authors' code
(xuxiong0214/BTIDBF at e680dda8), for 2,500 clean images of CIFAR-10: 50 epochs of pre-training, 5
rounds of 20 epochs for the mask, 30 for the U-Net and 30 of unlearning by Adam lr 1e-4; batch 128,
training augmentation. Departures: pre-training compares predictions by KL divergence (theirs takes
softmax outputs for logits); the mask is trained in eval mode; the U-Net is smaller on images below
32x32; images are not augmented where the class is found. With fewer than 128 images an epoch is
one step, and there are 450 in all.

Preset ``authors``: their pre-training, and the mask's training with the batch's statistics, after
which the U-Net is trained against the copy whose running statistics this moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    BatchNormMode,
    Budget,
    Context,
    Count,
    Defended,
    FeatureInversion,
    Positive,
    Share,
    defense,
)
from harness.toolbox import (
    FeatureMaps,
    Loop,
    TriggerGenerator,
    last_map_module,
    train_epochs,
    train_mode_,
)


@dataclass(frozen=True, kw_only=True)
class Hyper(FeatureInversion):
    """Inversion, and the unlearning."""

    rounds: Count = 5
    unlearning_epochs: Count = 30
    """Epochs per round."""
    lr: Positive = 1e-4
    batch: Count = 128
    share: Share = 0.1
    """Share of a batch that the U-Net changes, rounded down, plus one image."""
    batchnorm: BatchNormMode = "train"


PRESETS = {"authors": Hyper(authors_losses=True)}


@defense(
    paper="Towards Reliable and Efficient Backdoor Trigger Inversion via Decoupling Benign "
    "Features, ICLR 2024",
    year=2024,
    family="unlearning",
    version=2,
    display_name="BTI-DBF(U)",
    requires="convolutions",
    varied=("image_bound", "feature_bound", "lr"),
)
def bti_dbf(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Invert and unlearn in rounds; return model, last mask and the class that was found."""
    generator = TriggerGenerator(model, budget, hyper, ctx)
    maps = FeatureMaps(model, [last_map_module(model, budget.images[:1])])

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        _, (features,) = maps(x)
        logits, (changed,) = maps(generator.reverse(x, hyper.share))
        loss = F.cross_entropy(logits, y) + F.mse_loss(features, changed)
        loss.backward()
        return loss

    optimiser = torch.optim.Adam(model.parameters(), hyper.lr)
    for _ in range(hyper.rounds):
        mask = generator.invert(model)
        train_mode_(model, hyper.batchnorm)
        loop = Loop(hyper.unlearning_epochs, hyper.batch)
        train_epochs(budget, step, optimiser, loop, ctx)
    maps.remove()
    assert generator.target is not None
    artifacts = {"mask": mask[0], "class": torch.tensor([generator.target])}
    return Defended(model.eval(), artifacts=artifacts)
