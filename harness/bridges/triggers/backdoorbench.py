"""A record of BackdoorBench: its triggered test images are files, and no function makes more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.contract import Context, Goal, Poison, TrainingSet, attack, trigger_only

if TYPE_CHECKING:
    from harness.contract import NoHyper


def stamp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Refuse.

    Raises:
        NotImplementedError: always; cells that would stamp images of their own are skipped at
            planning.
    """
    raise NotImplementedError(
        "a record of BackdoorBench has triggered test images, but no trigger function"
    )


@attack(
    trigger=stamp,
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    version=1,
    all_to_all=True,
)
def backdoorbench(train: TrainingSet, goal: Goal, hyper: NoHyper, ctx: Context) -> Poison:
    """Change nothing: the model is trained."""
    return trigger_only(train, {})
