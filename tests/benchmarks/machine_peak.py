"""What this machine does at best: operations per second of convolutions and of matrix products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from harness.toolbox import graphed_step
from tests.benchmarks.side_by_side import clock

RUNS = 5


def operations(work: Callable[[], Any]) -> float:
    """Return the floating-point operations of the convolutions and matrix products in ``work``."""
    graphs, graphed_step.GRAPHS = graphed_step.GRAPHS, None  # a replay shows no operation
    try:
        with FlopCounterMode(display=False) as counter:
            work()
    finally:
        graphed_step.GRAPHS = graphs
    return float(counter.get_total_flops())


def device() -> torch.device:
    """Return the device that is measured."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@functools.cache
def convolutions(dtype: torch.dtype = torch.float32) -> float:
    """Return operations per second of a large 3x3 convolution, channels last; the best of runs."""
    channels = 256 if torch.cuda.is_available() else 128
    x = torch.randn(64, channels, 32, 32, device=device(), dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device(), dtype=dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return _best(lambda: F.conv2d(x, weight, padding=1))


@functools.cache
def matrices(dtype: torch.dtype = torch.float32) -> float:
    """Return operations per second of a large matrix product, the best of some runs."""
    side = 8192 if torch.cuda.is_available() else 1536
    a, b = (torch.randn(side, side, device=device(), dtype=dtype) for _ in range(2))
    return _best(lambda: a @ b)


@torch.no_grad()
def _best(work: Callable[[], torch.Tensor]) -> float:
    seconds = []
    for _ in range(RUNS):
        start = clock()
        work()
        seconds.append(clock() - start)
    return operations(work) / min(seconds)
