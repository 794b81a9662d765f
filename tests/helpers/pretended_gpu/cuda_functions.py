"""Functions of ``torch.cuda`` and of optimisers, as they answer where there is a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from harness.toolbox import graphed_step
from tests.helpers.pretended_gpu.graphs import PretendedGraphs
from tests.helpers.pretended_gpu.syncs import Syncs

NAME = "Pretended GPU"
MEMORY = 80 * 2**30
PROPERTIES = SimpleNamespace(name=NAME, major=9, minor=0, total_memory=MEMORY, uuid="pretended")
ANSWERS: dict[str, Any] = {
    "is_available": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_properties": PROPERTIES,
    "get_device_name": NAME,
    "get_device_capability": (9, 0),
    "is_bf16_supported": True,
    "mem_get_info": (MEMORY, MEMORY),
    "max_memory_allocated": 0,
    "max_memory_reserved": 0,
    "memory_reserved": 0,
    "reset_peak_memory_stats": None,
    "set_per_process_memory_fraction": None,
    "get_per_process_memory_fraction": 1.0,
    "set_device": None,
    "empty_cache": None,
    "manual_seed": None,
    "manual_seed_all": None,
}
KERNELS = ("flash", "mem_efficient", "cudnn", "math")
CAPTURE_CHECKS = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")


class _Autocast(torch.autocast):
    """Autocast with the CPU's lists of operations in place of CUDA's."""

    def __init__(self, device_type: str, *args: Any, **more: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **more)


@contextmanager
def pretended_functions(syncs: Syncs) -> Iterator[None]:
    """Replace the functions inside the block."""
    with ExitStack() as stack:
        for name, answer in ANSWERS.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, _returning(answer)))
        graphs = mock.patch.object(graphed_step, "GRAPHS", PretendedGraphs(syncs))
        stack.enter_context(graphs)
        waits = mock.patch.object(torch.cuda, "synchronize", lambda *_: syncs.add("synchronize"))
        stack.enter_context(waits)
        stack.enter_context(mock.patch.object(torch, "autocast", _Autocast))
        stack.enter_context(_kernels_of_attention())
        for name in CAPTURE_CHECKS:
            if hasattr(torch.optim.Optimizer, name):
                nothing = mock.patch.object(torch.optim.Optimizer, name, lambda _: None)
                stack.enter_context(nothing)
        yield


@contextmanager
def _kernels_of_attention() -> Iterator[None]:
    """Leave the switches of attention's kernels, which are those of CPUs too, as they were."""
    switches = torch.backends.cuda
    before = [getattr(switches, f"{name}_sdp_enabled")() for name in KERNELS]
    try:
        yield
    finally:
        for name, enabled in zip(KERNELS, before, strict=True):
            getattr(switches, f"enable_{name}_sdp")(enabled)


def _returning(answer: Any) -> Any:
    return lambda *_, **__: answer
