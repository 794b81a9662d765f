"""Why a task failed: from an exception to the status and the text of its record."""

from __future__ import annotations

import traceback

import torch

from harness.contract import OutOfTimeError
from harness.errors import UserError
from harness.evaluation.evaluate import UnstableModelError
from harness.store.record import Failure, Status


class OverdueAlarm(BaseException):
    """A task takes longer than its limit; no Exception, which a method may catch."""


def failure_of(error: BaseException) -> Failure:
    """Return what a record says of an exception."""
    return Failure(_status(error), _shown(error), "".join(traceback.format_exception(error)))


def _status(error: BaseException) -> Status:
    if isinstance(error, OutOfTimeError | OverdueAlarm):
        return Status.TIMEOUT
    if isinstance(error, UnstableModelError):
        return Status.UNSTABLE
    if isinstance(error, torch.AcceleratorError):  # neither device nor process can be trusted
        return Status.OOM if "out of memory" in str(error) else Status.CRASH
    return Status.OOM if _out_of_memory(error) else Status.ERROR


def _out_of_memory(error: BaseException) -> bool:
    """Tell whether a GPU or this machine ran out of memory; torch has no class for the latter."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _shown(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # an exception whose text raises one
        text = "its text can't be read"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
