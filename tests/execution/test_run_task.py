"""What a task raises becomes the status of its record."""

import pytest
import torch

from harness.contract import OutOfTimeError
from harness.execution.run_task import _outcome
from harness.store.store import StoreError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (torch.AcceleratorError("CUDA error: out of memory"), "oom"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "crash"),
        (MemoryError(), "oom"),
        (OutOfTimeError(), "timeout"),
        (OSError("of the method"), "error"),
    ],
)
def test_what_a_method_raises_becomes_a_status(error, status):
    def work():
        raise error

    assert _outcome(work).status == status


def test_what_the_store_raises_ends_the_run():
    def work():
        raise StoreError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        _outcome(work)
