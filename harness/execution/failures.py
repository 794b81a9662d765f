"""Why a task failed: from an exception to the status and the text of its record."""

from __future__ import annotations

import traceback

import torch

from harness.contract import OutOfTimeError
from harness.errors import UserError
from harness.evaluation.errors import UnstableModelError
from harness.store.record import Failure, Status
from harness.training.device import device_fault

MEMORY_IS_SHORT = (
    *("out of memory", "DefaultCPUAllocator", "CUDACachingAllocator"),
    *("STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED", "unable to find an engine"),
)
"""In messages of the driver, of torch's allocators, and of cuBLAS and cuDNN, whose handles and
workspaces need memory too."""
GPU_FAILED = (
    *("CUDA error", "CUDA driver error", "cuDNN error", "cusolver error", "NVML"),
    *("CUBLAS_STATUS", "CUDNN_STATUS", "CUSOLVER_STATUS", "CUFFT_STATUS"),
)
"""In messages of the driver and of CUDA's libraries."""


class OverdueAlarm(BaseException):
    """A task takes longer than its limit; no Exception, which a method may catch."""


class ElsewhereError(Exception):
    """What runs in another process has failed there."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """Return what a record says of an exception."""
    if isinstance(error, ElsewhereError):
        return error.failure
    return Failure(_status(error), _shown(error), "".join(traceback.format_exception(error)))


def _status(error: BaseException) -> Status:
    if isinstance(error, OutOfTimeError | OverdueAlarm):
        return Status.TIMEOUT
    if isinstance(error, UnstableModelError):
        return Status.UNSTABLE
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _says(error, MEMORY_IS_SHORT):
        return Status.OOM
    if isinstance(error, torch.AcceleratorError) or _says(error, GPU_FAILED):
        return Status.CRASH  # neither device nor process can be trusted
    return Status.ERROR


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Tell whether an error of torch has one of several texts; most have no class of their own."""
    return isinstance(error, RuntimeError) and any(text in _text(error) for text in texts)


def after_failure(failure: Failure, device: torch.device) -> Failure:
    """Return a failure as it is, or as a crash if the device no longer works after it.

    An error on a GPU may show late, and as another one: what is left of it is asked for here.
    """
    fault = device_fault(device)
    if not fault:
        return failure
    error = failure.error if fault in failure.error else f"{failure.error} (then: {fault})"
    return failure._replace(status=Status.CRASH, error=error)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception whose text raises one
        return "its text can't be read"


def _shown(error: BaseException) -> str:
    text = _text(error)
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
