"""Graphs of steps on the pretended GPU: a recording runs the step again, where nothing may wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.helpers.pretended_gpu.syncs import Syncs

Step = Callable[[], tuple[torch.Tensor, ...]]


class PretendedGraphs:
    """Records steps as ``harness.toolbox.graphed_step.Graphs`` does."""

    def __init__(self, syncs: Syncs) -> None:
        self._syncs = syncs

    def run_aside(self, step: Step) -> tuple[torch.Tensor, ...]:
        """Run a step."""
        return step()

    def record(self, step: Step) -> tuple[Any, Callable[[], None]]:
        """Return the results, empty until the recording is run, and what runs it."""
        results: list[torch.Tensor] = []

        def run() -> None:
            with self._syncs.forbidden():
                results[:] = step()

        return results, run

    def random_state(self) -> torch.Tensor:
        """Return the state of random numbers."""
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        """Set the state of random numbers."""
        torch.set_rng_state(state)
