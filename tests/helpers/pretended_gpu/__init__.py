"""A pretended GPU: CUDA's rules about devices on a machine without one, with real numbers.

Every tensor is a CPU tensor; what lies "on the GPU" is marked on its storage, so that views,
``.data`` and changes in place share the mark. ``python_calls`` stands between the program and
torch's Python functions: it answers ``x.device``, carries out ``.to`` and takes ``device="cuda"``.
``aten_calls`` stands below autograd, sees every operation, those of the backward pass too, and
refuses what CUDA refuses. ``cuda_functions`` are the functions of ``torch.cuda`` that are asked.

It knows nothing of kernels: a type or shape that CUDA has none for, other bits, speed and memory
are beyond it.

    with PretendedGpu() as gpu:
        run_study(study, store, Options(Selection(), HardwareRequest("cuda"), inline=True), console)
    gpu.syncs.total()
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.helpers.pretended_gpu.aten_calls import AtenCalls
from tests.helpers.pretended_gpu.cuda_functions import pretended_functions
from tests.helpers.pretended_gpu.marks import CUDA, DeviceError, is_on_gpu
from tests.helpers.pretended_gpu.python_calls import PythonCalls
from tests.helpers.pretended_gpu.syncs import Syncs

__all__ = ["CUDA", "DeviceError", "PretendedGpu", "is_on_gpu"]


class PretendedGpu:
    """While it is entered there is a ``cuda:0``; what CUDA would refuse raises ``DeviceError``."""

    def __init__(self) -> None:
        self.syncs = Syncs()
        """Where the program waited for the GPU, and how often."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(pretended_functions(self.syncs))
        below = self._stack.enter_context(AtenCalls(self.syncs))
        self._stack.enter_context(PythonCalls(self.syncs, below))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
