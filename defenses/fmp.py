"""FMP (Feature Map Pruning): cut the channels whose small change costs the most accuracy.

Huang, Bu, Yuan, He et al., "Adversarial Feature Map Pruning for Backdoor", arXiv 2307.11565. Threat
model: clean samples only.

For every channel of every convolution, images get one sign step of eps, away from the channel's map
of the clean images; the channels at which the network's accuracy on these images is lowest are
cut: the filter, and the scale of the batch norm that alone takes its output, if there is one. Of a
layer with C channels floor(C / 64) are cut, so that a layer below 64 loses none. Then the network
is fine-tuned. The settings are those of the authors' script (retsuh-bqw/FMP at 8d1cb59b), whose
configuration is missing, and for the sizes that were in it those of the IMS comparison (arXiv
2509.15497): 32 random clean images, a step of eps 1/255 from a start that moves every pixel by one
grey level up or down at random; 10 epochs of SGD lr 0.01, momentum 0.9, no weight decay, batch 256,
cosine to zero. Departures: a convolution's batch norm is the one that takes its output (theirs is
the next in order of definition, which in pre-activation networks reads the sum of two branches); a
layer loses its own weakest channels (theirs ranks layers in the order in which they run and cuts
them in that of definition, which differ where a shortcut runs first); running statistics see no
test images (theirs evaluates in training mode after every epoch); the cosine ends at zero (theirs
at 1e-4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import (
    Budget,
    Context,
    Count,
    Defended,
    FineTuning,
    NonNegative,
    Positive,
    defense,
)
from harness.toolbox import FeatureMaps, Samples, convolutions, fine_tune_, foldable_pairs


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """The ranking, and the fine-tuning."""

    images: Count = 32
    """Clean images that rank the channels; all of a smaller budget."""
    eps: Positive = 1 / 255
    """Size of the step, of a pixel value in [0, 1]."""
    start: Positive = 1 / 255
    """Size of the random change from which the step starts."""
    group: Count = 64
    """One channel is cut for every ``group`` of a layer, rounded down."""
    epochs: Count = 10
    weight_decay: NonNegative = 0


PRESETS = {"authors": Hyper()}


@defense(
    paper="Adversarial Feature Map Pruning for Backdoor, arXiv 2307.11565",
    year=2024,
    family="pruning",
    version=2,
    display_name="FMP",
    requires="batchnorm",
    varied=("eps", "lr"),
)
def fmp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Cut channels and fine-tune; return the model and the channels that layers kept."""
    chosen = torch.randperm(len(budget), generator=ctx.generator)[: hyper.images]
    subset = budget.subset(chosen.to(budget.labels.device))
    noise = torch.rand(subset.images.shape, generator=ctx.generator) - 0.5
    shifted = (subset.images + hyper.start * noise.sign().to(ctx.device)).clamp(0, 1)
    samples = subset.images, subset.labels
    layers = list(prunable(model.eval(), subset.images[:1], hyper.group))
    weakest = [weakest_channels(model, name, samples, shifted, hyper) for name, _, _ in layers]
    kept = {}
    for number, ((name, convolution, norm), cut) in enumerate(zip(layers, weakest, strict=True)):
        with torch.no_grad():
            convolution.weight[cut] = 0
            if norm is not None:
                norm.weight[cut] = 0
        kept[f"mask.{name}"] = torch.ones(convolution.out_channels).index_fill(0, cut.cpu(), 0)
        ctx.log(number, cut=len(cut))
    model = fine_tune_(model, (budget.images, budget.labels), hyper, budget.augment, ctx)
    return Defended(model, artifacts=kept)


def prunable(
    model: nn.Module, image: torch.Tensor, group: int
) -> Iterator[tuple[str, nn.Conv2d, _BatchNorm | None]]:
    """Yield each convolution of ``group`` channels or more by name, and its batch norm if any.

    That is the one that alone takes its output. ``model`` is in eval mode.
    """
    norms = {name: model.get_submodule(norm) for norm, name in foldable_pairs(model, image).items()}
    for name, convolution in convolutions(model).items():
        norm = norms.get(name)
        assert norm is None or isinstance(norm, _BatchNorm)
        if convolution.out_channels >= group:
            yield name, convolution, norm


def weakest_channels(
    model: nn.Module, name: str, samples: Samples, shifted: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    """Return the channels of a convolution whose change costs the most accuracy, (k,)."""
    x, y = samples
    maps = FeatureMaps(model, [name])
    with torch.no_grad():
        _, (clean,) = maps(x)
    start = shifted.detach().requires_grad_()
    _, (moved,) = maps(start)
    maps.remove()
    accuracies = []
    for channel in range(moved.shape[1]):
        loss = F.mse_loss(moved[:, channel], clean[:, channel])
        (slope,) = torch.autograd.grad(loss, start, retain_graph=True)
        with torch.no_grad():
            logits = model((shifted + hyper.eps * slope.sign()).clamp(0, 1))
        accuracies.append((logits.argmax(1) == y).float().mean())
    order = torch.stack(accuracies).argsort(stable=True)
    return order[: len(accuracies) // hyper.group]
