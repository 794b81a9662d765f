"""IMS for vision transformers: invertible masks on the outputs of encoder blocks.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Backdoor Mitigation via Invertible Pruning Masks",
arXiv 2509.15497. Threat model: clean samples only, and no labels: every target is a prediction of
the victim itself.

Like IMS, with one raw mask and one selection per embedding dimension after every encoder block,
shared by all tokens; the sparsity weight is 0, all else as for convolutional networks. These are
the authors' settings. The gates are on the residual stream and do not fold into weights, so every
block is returned inside a small wrapper that is saved and loaded with its gate. Departures: those
of IMS. The preset ``authors`` is the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Budget, Context, Defended, InvertibleMasks, NonNegative, defense
from harness.toolbox import block_sites, learn_invertible_masks


@dataclass(frozen=True, kw_only=True)
class Hyper(InvertibleMasks):
    """Masks, the inner search, and the three stages."""

    sparsity: NonNegative = 0
    """lambda, the weight of the mean of 1 - s in stages A and C."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="Backdoor Mitigation via Invertible Pruning Masks, arXiv 2509.15497",
    year=2025,
    family="pruning",
    version=2,
    display_name="IMS-ViT",
    requires="encoder-blocks",
    varied=("k", "lr"),
)
def ims_vit(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Learn the masks; return the gated network, the inverse network and all gates."""
    return learn_invertible_masks(model, budget, block_sites(model), hyper, ctx)
