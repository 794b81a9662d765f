"""Steps that a CUDA GPU runs as one graph: hundreds of small operations, launched at once.

A step at a small budget takes longer to launch than to compute. Its operations are recorded once,
and from then on the recording is run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

Results = tuple[torch.Tensor, ...]
Step = Callable[..., Results]


class Graphs(Protocol):
    """What records steps."""

    def run_aside(self, step: Callable[[], Results]) -> Results:
        """Run a step in the way in which it is recorded afterwards; return its results."""

    def record(self, step: Callable[[], Results]) -> tuple[Results, Callable[[], None]]:
        """Record a step without running it.

        Returns:
            the tensors in which it leaves its results, and what runs the recording.

        Raises:
            RuntimeError: it can't be recorded.
        """

    def random_state(self) -> torch.Tensor:
        """Return the state of the device's random numbers."""

    def set_random_state(self, state: torch.Tensor) -> None:
        """Set the state of the device's random numbers."""


class CudaGraphs:
    """Records with CUDA graphs, on a stream of its own."""

    def run_aside(self, step: Callable[[], Results]) -> Results:
        """Run a step on another stream than the usual one, and wait for it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            results = step()
        stream.synchronize()
        return results

    def record(self, step: Callable[[], Results]) -> tuple[Results, Callable[[], None]]:
        """Record a step without running it; a failure leaves the usual stream in use."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                results = step()
        finally:
            torch.cuda.set_stream(stream)
        return results, graph.replay

    def random_state(self) -> torch.Tensor:
        """Return the state of the GPU's random numbers."""
        return torch.cuda.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        """Set the state of the GPU's random numbers."""
        torch.cuda.set_rng_state(state)


GRAPHS: Graphs | None = CudaGraphs()
"""What records steps on CUDA GPUs; None for nothing."""


class GraphedStep:
    """A step on tensors, called like the function that it is made of.

    On devices other than CUDA every call is a plain call. On CUDA the first call is one too, so
    that optimisers make their state; the second runs the step and its recording from the same
    state, and where both give the same bits, all further calls run the recording. Where they
    differ, or where the step can't be recorded, all calls are plain ones, after one warning.

    Args:
        step: takes tensors and returns a tuple of tensors. It waits for no value of a tensor, and
            changes nothing but the tensors of ``state``.
        device: where the tensors are.
        state: returns the tensors that the step changes in place, the same ones from the second
            call on.
    """

    def __init__(
        self,
        step: Step,
        device: torch.device,
        state: Callable[[], Sequence[torch.Tensor]] = tuple,
    ) -> None:
        self._step = step
        self._state = state
        self._graphs = GRAPHS if device.type == "cuda" else None
        """What may still record the step."""
        self._is_first = True
        self._recording: _Recording | None = None

    def __call__(self, *inputs: torch.Tensor) -> Results:
        """Run the step; return its results, which later calls leave as they are."""
        if self._recording is not None and self._recording.takes(inputs):
            return self._recording(inputs)
        if self._graphs is None or self._is_first:
            self._is_first = False
            return self._step(*inputs)
        graphs, self._graphs = self._graphs, None
        return self._run_and_record(graphs, inputs)

    def _run_and_record(self, graphs: Graphs, inputs: tuple[torch.Tensor, ...]) -> Results:
        state = list(self._state())
        before, random_before = _copies(state), graphs.random_state()
        own = _copies(inputs)
        results = _copies(graphs.run_aside(lambda: self._step(*own)))
        after, random_after = _copies(state), graphs.random_state()
        _write(state, before)
        graphs.set_random_state(random_before)
        reason = "its results differ from those of its operations one by one"
        try:
            recording = _Recording(own, *graphs.record(lambda: self._step(*own)))
            if _same(recording(inputs), results) and _same(state, after):
                self._recording = recording
                return results
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
        _write(state, after)
        graphs.set_random_state(random_after)
        warnings.warn(f"no CUDA graph of a step, which takes longer: {reason}", stacklevel=3)
        return results


class _Recording:
    """A recorded step, with the tensors that it reads and writes."""

    def __init__(
        self, inputs: tuple[torch.Tensor, ...], results: Results, run: Callable[[], None]
    ) -> None:
        self._inputs = inputs
        self._results = results
        self._run = run

    def takes(self, inputs: tuple[torch.Tensor, ...]) -> bool:
        """Tell whether these are inputs of the recorded shapes."""
        return [x.shape for x in inputs] == [x.shape for x in self._inputs]

    def __call__(self, inputs: tuple[torch.Tensor, ...]) -> Results:
        _write(self._inputs, inputs)
        self._run()
        return _copies(self._results)


@torch.no_grad()
def _copies(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return tuple(x.detach().clone() for x in tensors)


@torch.no_grad()
def _write(tensors: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _same(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(some, others, strict=True))


def optimiser_state(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return the tensors that an optimiser keeps."""
    values = (x for kept in optimiser.state.values() for x in kept.values())
    return [x for x in values if isinstance(x, torch.Tensor)]
