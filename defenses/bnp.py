"""BNP: cut the channels whose input statistics on clean data differ from those of training.

Zheng, Tang, Li, Liu, "Pre-activation Distributions Expose Backdoor Neurons", NeurIPS 2022. Threat
model: clean samples only.

Batch norm's running statistics were gathered on poisoned training data. For every channel, the
divergence KL(N(mean, var of clean data) || N(running mean, running var)) is taken over all clean
samples and positions; channels above mean + u standard deviations of their layer are cut: scale and
shift zero. u = 3 and training augmentation, as in the IMS comparison (arXiv 2509.15497): the
running statistics were gathered under it too, and without it the divergence would include that of
the augmentation. Threat model and data are the comparison's: clean samples alone (upstream
BackdoorBench also passes poisoned data). Departures from BackdoorBench: log(sd_run / sd) as the
divergence has it, and as the authors' code has it (BackdoorBench takes log(var_run / var), twice
that); statistics of all clean samples (there, of the last batch). Departure from both: batch norm's
eps is added to both variances, so that a dead channel gives no infinity.

Preset ``authors``: their script (RJ-T/NIPS2022_EP_BNP at af5150da), for 500 clean images of
CIFAR-10: a cut channel keeps its shift. The rest is the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.contract import Budget, Context, Defended, Positive, added, defense
from harness.toolbox import batchnorm_layers, cut_outliers_, kept_channel_masks

Moments = tuple[torch.Tensor, torch.Tensor]
"""Mean and variance per channel, (channels,) each."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The threshold."""

    u: Positive = 3
    """Standard deviations above the layer's mean."""
    keep_shift: bool = added(False)
    """Whether a cut channel has its scale alone set to zero, so that it is constant."""


PRESETS = {"authors": Hyper(keep_shift=True)}


@defense(
    paper="Pre-activation Distributions Expose Backdoor Neurons, NeurIPS 2022",
    year=2022,
    family="pruning",
    version=2,
    display_name="BNP",
    requires="batchnorm",
    varied=("u",),
)
def bnp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Cut outlying channels; return the plain model and the masks of kept channels."""
    clean = clean_moments(model, budget.augment(budget.images, ctx.generator))
    for i, (name, norm) in enumerate(batchnorm_layers(model)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, var = clean[name]
        running = norm.running_mean, norm.running_var + norm.eps
        values = divergence((mean, var + norm.eps), running)
        cut = cut_outliers_(norm, values, hyper.u, keep_shift=hyper.keep_shift)
        ctx.log(i, cut=int(cut.sum()))
    return Defended(model, artifacts=kept_channel_masks(model))


@torch.no_grad()
def clean_moments(model: nn.Module, images: torch.Tensor, chunk: int = 256) -> dict[str, Moments]:
    """Return the moments of every batch norm's input over all images and positions."""
    sums: dict[str, list[torch.Tensor]] = {}

    def add_sums(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0].transpose(0, 1).flatten(1).double()
            count = torch.full_like(x[:, 0], x.shape[1])
            sums.setdefault(name, []).append(torch.stack([x.sum(1), (x**2).sum(1), count]))

        return hook

    hooks = [
        norm.register_forward_pre_hook(add_sums(name)) for name, norm in batchnorm_layers(model)
    ]
    model.eval()
    for x in images.split(chunk):
        model(x)
    for hook in hooks:
        hook.remove()
    return {name: _moments(torch.stack(chunks).sum(0)) for name, chunks in sums.items()}


def _moments(sums: torch.Tensor) -> Moments:
    total, squares, count = sums
    mean = total / count
    return mean.float(), (squares / count - mean**2).clamp_min(0).float()


def divergence(p: Moments, q: Moments) -> torch.Tensor:
    """Return KL(N(p) || N(q)) per channel, (channels,)."""
    (mean_p, var_p), (mean_q, var_q) = p, q
    return 0.5 * (var_q / var_p).log() + (var_p + (mean_p - mean_q) ** 2) / (2 * var_q) - 0.5
