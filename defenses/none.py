"""No defense: the victim unchanged, the reference of every board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract import Budget, Context, defense

if TYPE_CHECKING:
    from torch import nn

    from harness.contract import NoHyper


@defense(paper="", year=0, family="control", version=1, display_name="No defense")
def none(model: nn.Module, budget: Budget, hyper: NoHyper, ctx: Context) -> nn.Module:
    """Return the model unchanged."""
    return model
