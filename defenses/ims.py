"""IMS (Invertible Masking using Selection): find the channels of the backdoor, mask them softly.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Backdoor Mitigation via Invertible Pruning Masks",
arXiv 2509.15497. Threat model: clean samples only, and no labels: every target is a prediction of
the victim itself.

Every output channel of every convolution has a raw mask and a selection; the formulas and the three
stages are in harness/toolbox/ims/losses.py. Defaults are the authors' single setting for all
convolutional networks. The soft mask is the result: it multiplies convolution outputs before batch
norm, so it folds into the weights, and a plain model is returned. The inverse network, which keeps
the backdoor, is returned as a companion. Departures: f(x) is computed once; stage A omits the
search, which the authors' code runs there only to log it; batch norms are folded into constants,
which changes the rounding. Beyond the paper: ``hard`` gates, the networks after each stage,
``selection`` off, and the search in bf16; all are off by default. The preset ``authors`` is the
defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Budget, Context, Defended, InvertibleMasks, defense
from harness.toolbox import convolution_sites, learn_invertible_masks


@dataclass(frozen=True, kw_only=True)
class Hyper(InvertibleMasks):
    """Masks, the inner search, and the three stages."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="Backdoor Mitigation via Invertible Pruning Masks, arXiv 2509.15497",
    year=2025,
    family="pruning",
    version=4,
    display_name="IMS",
    requires="convolutions",
    varied=("k", "sparsity", "lr"),
)
def ims(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Learn the masks; return the masked network, the inverse network and all gates."""
    return learn_invertible_masks(model, budget, convolution_sites(model), hyper, ctx)
