"""Graphs of steps on a machine without CUDA: what records them here runs them again instead."""

from __future__ import annotations

import torch

from harness.toolbox import graphed_step

CUDA = torch.device("cuda")


class FakeGraphs:
    """Records a step by remembering it; a recording may differ from it, or fail."""

    def __init__(self, *, error: float = 0.0, refusal: str = "") -> None:
        self.error = error
        """What is added to the first result of a recording."""
        self.refusal = refusal
        self.state = tuple
        self.recorded = 0
        self.replays = 0

    def run_aside(self, step):
        return step()

    def record(self, step):
        if self.refusal:
            raise RuntimeError(self.refusal)
        self.recorded += 1
        state, random = list(self.state()), torch.get_rng_state()
        before = [x.detach().clone() for x in state]
        results = tuple(x.detach().clone() for x in step())
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(random)

        def replay():
            self.replays += 1
            for result, value in zip(results, step(), strict=True):
                result.copy_(value)
            results[0].add_(self.error)

        return results, replay

    def random_state(self):
        return torch.get_rng_state()

    def set_random_state(self, state):
        torch.set_rng_state(state)


def install(monkeypatch, graphs: FakeGraphs, *modules) -> FakeGraphs:
    """Let ``graphs`` record steps on CUDA, and the steps of ``modules`` on any device."""

    class OnAnyDevice(graphed_step.GraphedStep):
        def __init__(self, step, device, state=tuple):
            graphs.state = state
            super().__init__(step, CUDA, state)

    monkeypatch.setattr(graphed_step, "GRAPHS", graphs)
    for module in modules:
        monkeypatch.setattr(module, "GraphedStep", OnAnyDevice)
    return graphs
