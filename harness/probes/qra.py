"""QRA, query-based re-activation: does a learnt perturbation bring the backdoor back?

Min, Cheng, Xie, Ma, "Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor
Defense" (NeurIPS 2024), arXiv 2410.09838. A copy of the defended model is re-tuned on a few
triggered images, as in the probe ``retune``, and shows what the model would do if its backdoor were
awake. A small network G then learns perturbations, at most 16/255 per pixel value, with which the
defended model itself answers like that, and a clean model does not: x' = x + 16/255 tanh(MLP(x)),
clipped to [0, 1], and over clean and triggered training images

    0.2 KL(re-tuned(x) || defended(x')) + CE(clean(x'), true class).

``asr`` is that of defended(x') on triggered test images, ``clean`` that of the clean model on the
same x', ``alone`` that of defended(x') on the images without the trigger. ``excess`` is ASR less
the larger of these two controls, which is what a defense has left in the model; ``gain`` is ASR
less the larger of that of the clean model and that without G (``before``), which is what G woke.

Departures: both differences are ours. The authors report ``asr`` and ``clean``, take the images
for one of their attacks from the test set, and take the data set's normalisation for G's input,
which is here the victim's.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Attacker,
    Context,
    Count,
    NonNegative,
    Numbers,
    Positive,
    Quantity,
    Retuning,
    Share,
    probe,
)
from harness.toolbox import (
    as_float,
    attackable_indices,
    normalisation,
    retune_,
    retuning_samples,
    sample_indices,
    share_predicted,
    thinned,
    triggered_images,
)


@dataclass(frozen=True, kw_only=True)
class Hyper(Retuning):
    """Re-tuning, the perturbations, the images on which they are learnt, and what is scored."""

    bound: Positive = 16 / 255
    """Largest change of a pixel value in [0, 1]."""
    hidden: Count = 1024
    """Units in each of the three hidden layers of G."""
    images: Count = 500
    """Clean training images, and as many triggered ones."""
    passes: Count = 50
    search_batch: Count = 128
    search_lr: Positive = 0.1
    search_momentum: Share = 0.9
    awake: NonNegative = 0.2
    """Weight of the re-tuned model's answers against those of the clean model."""
    scored: Count = 10_000
    """The most test images, with and without the trigger each, that are scored."""


class Perturbation(nn.Module):
    """G: images (n, C, H, W) in [0, 1] to the same, each pixel value at most ``bound`` away."""

    def __init__(self, normalise: nn.Module, inputs: int, hidden: int, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.normalise = normalise
        widths = (inputs, hidden, hidden, hidden)
        self.body = nn.Sequential(
            *(
                layer
                for width in itertools.pairwise(widths)
                for layer in (nn.Linear(*width), nn.ReLU())
            ),
            nn.Linear(hidden, inputs),
            nn.Tanh(),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return perturbed images."""
        change: torch.Tensor = self.body(self.normalise(images).flatten(1)).view(images.shape)
        return (images + self.bound * change).clamp(0, 1)


@probe(
    paper="Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor Defense, "
    "arXiv 2410.09838",
    year=2024,
    version=1,
    display_name="QRA",
    numbers={
        "excess": Quantity("QRA excess", -1, least=-1.0),
        "gain": Quantity("QRA gain", -1, least=-1.0),
        "asr": Quantity("ASR, QRA", -1),
        "before": Quantity("ASR before", -1),
        "alone": Quantity("ASR without trigger", -1),
        "clean": Quantity("ASR, clean model", -1),
    },
    clean_model=True,
)
def qra(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Learn the perturbations, and score them on test images with and without the trigger."""
    test, clean = attacker.test, attacker.train.clean_model
    assert clean is not None
    samples = retuning_samples(attacker, hyper, ctx)
    awake = retune_(copy.deepcopy(model), attacker, samples, hyper, ctx)
    change = learn_perturbation(model, awake, clean, attacker, hyper, ctx)
    some = thinned(len(test.wanted), hyper.scored)
    wanted = test.wanted[some]
    triggered, untriggered = (
        perturbed(change, images[some]) for images in (test.triggered, test.untriggered)
    )
    asr = share_predicted(model, triggered, wanted)
    before = share_predicted(model, test.triggered[some], wanted)
    alone = share_predicted(model, untriggered, wanted)
    on_clean = share_predicted(clean, triggered, wanted)
    return {
        "excess": asr - max(on_clean, alone),
        "gain": asr - max(on_clean, before),
        "asr": asr,
        "before": before,
        "alone": alone,
        "clean": on_clean,
    }


def learn_perturbation(
    model: nn.Module,
    awake: nn.Module,
    clean: nn.Module,
    attacker: Attacker,
    hyper: Hyper,
    ctx: Context,
) -> Perturbation:
    """Return G, learnt by SGD on training images; the three networks are in eval mode."""
    train = attacker.train
    everything = torch.ones_like(train.labels, dtype=torch.bool)
    plain = sample_indices(everything, min(hyper.images, len(train.labels)), ctx)
    chosen = attackable_indices(attacker, hyper.images, ctx)
    images = torch.cat([as_float(train.images[plain]), triggered_images(attacker, chosen)])
    truth = torch.cat([train.labels[plain], train.labels[chosen]])
    for network in (model, awake, clean):
        network.eval().requires_grad_(False)
    change = Perturbation(
        normalisation(attacker.victim), images[0].numel(), hyper.hidden, hyper.bound
    )
    initialise_(change, ctx.generator)
    change.to(images.device)
    optimiser = torch.optim.SGD(change.parameters(), hyper.search_lr, hyper.search_momentum)
    for done in range(hyper.passes):
        order = torch.randperm(len(truth), generator=ctx.generator).to(truth.device)
        for batch in order.split(hyper.search_batch):
            shown = change(images[batch])
            target = awake(images[batch]).softmax(1)
            answer = model(shown).log_softmax(1)
            woken = F.kl_div(answer, target, reduction="batchmean")
            loss = hyper.awake * woken + F.cross_entropy(clean(shown), truth[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            ctx.check()
        ctx.log(done, loss=loss.item(), woken=woken.item())
    return change.eval()


def initialise_(network: nn.Module, generator: torch.Generator) -> None:
    """Draw linear layers as torch does, from a generator on the CPU."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                for weight in (layer.weight, layer.bias):
                    bound = layer.in_features**-0.5
                    weight.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def perturbed(change: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return float images that G has changed."""
    return torch.cat([change(as_float(chunk)) for chunk in images.split(1000)])
