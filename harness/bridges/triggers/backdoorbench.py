"""The trigger of a BackdoorBench record: triggered test images are files; there is no function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.contract import Context, Goal, Poison, TrainingSet, attack, trigger_only

if TYPE_CHECKING:
    from harness.contract import NoHyper


def no_trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Refuse.

    Raises:
        NotImplementedError: always; cells that need the trigger function are skipped when a study
            is read.
    """
    raise NotImplementedError(
        "a record of BackdoorBench has triggered test images, but no trigger function"
    )


@attack(
    trigger=no_trigger,
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    version=1,
    all_to_all=True,
)
def backdoorbench(train: TrainingSet, goal: Goal, hyper: NoHyper, ctx: Context) -> Poison:
    """Poison nothing, because the model is trained already."""
    return trigger_only(train, {})
