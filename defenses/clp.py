"""CLP (Channel Lipschitzness Pruning): cut the channels that can amplify small changes most.

Zheng, Tang, Li, Liu, "Data-free Backdoor Removal based on Channel Lipschitzness", arXiv 2208.03111.
Threat model: the model alone; the clean budget is not used.

A convolution and its batch norm bound what channel c can do to an input by sigma_c = |gamma_c| /
sqrt(var_c + eps) * (largest singular value of filter c as a C_in x (kh kw) matrix). Channels with
sigma above mean + u standard deviations of their layer are cut: scale and shift zero. u = 3, as in
the IMS comparison (arXiv 2509.15497) for all data sets, and no fine-tuning. Departure: batch norm's
eps is under the root, as it is in the network (the public code leaves it out, and one dead channel
then makes the threshold of its layer infinite). The preset ``authors`` is the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import Budget, Context, Defended, Positive, defense
from harness.toolbox import (
    batchnorm_layers,
    convolution_batchnorm_pairs,
    cut_outliers_,
    kept_channel_masks,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The threshold."""

    u: Positive = 3
    """Standard deviations above the layer's mean."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="Data-free Backdoor Removal based on Channel Lipschitzness, arXiv 2208.03111",
    year=2022,
    family="pruning",
    version=1,
    display_name="CLP",
    requires="batchnorm",
    varied=("u",),
)
def clp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Cut outlying channels; return the plain model, the kept channels and how far each is out."""
    names, order = {norm: name for name, norm in batchnorm_layers(model)}, {}
    for i, (convolution, norm) in enumerate(convolution_batchnorm_pairs(model)):
        bound = lipschitz(convolution, norm)
        order[f"order.{names[norm]}"] = (bound.mean() - bound) / bound.std()
        cut = cut_outliers_(norm, bound, hyper.u)
        ctx.log(i, cut=int(cut.sum()))
    return Defended(model, artifacts=kept_channel_masks(model) | order)


@torch.no_grad()
def lipschitz(convolution: nn.Conv2d, norm: _BatchNorm) -> torch.Tensor:
    """Return sigma_c, the bound of every channel, (channels,)."""
    assert norm.running_var is not None
    filters = convolution.weight.flatten(2).cpu()  # a GPU takes one matrix after the other
    largest = torch.linalg.svdvals(filters)[:, 0].to(norm.weight.device)
    scale = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()
    bound: torch.Tensor = largest * scale
    return bound
