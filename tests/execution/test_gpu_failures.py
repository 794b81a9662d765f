"""What a GPU and CUDA's libraries say when they fail, and what is asked of the GPU afterwards."""

import pytest
import torch

from harness.execution.failures import after_failure, failure_of
from harness.store.record import Failure, Status
from tests.helpers.pretended_gpu import CUDA, PretendedGpu

SHORT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp:1"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]
FAILED = [
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED"),
    RuntimeError("Can't initialize NVML"),
]
OWN = [ValueError("CUDA error: as planned"), RuntimeError("sizes differ"), KeyError("cuDNN error")]


@pytest.mark.parametrize("status", ["oom", "crash", "error"])
def test_errors_of_cuda_and_its_libraries_are_told_apart(status):
    errors = {"oom": SHORT_OF_MEMORY, "crash": FAILED, "error": OWN}[status]
    assert [(str(error), failure_of(error).status) for error in errors] == [
        (str(error), status) for error in errors
    ]


def test_a_gpu_is_asked_after_every_failure_whether_it_still_works(monkeypatch):
    failure = Failure(Status.TIMEOUT, "OutOfTimeError: it took too long")
    assert after_failure(failure, torch.device("cpu")) == failure
    with PretendedGpu():
        assert after_failure(failure, CUDA) == failure

        def poisoned(device):
            raise torch.AcceleratorError("CUDA error: device-side assert triggered\nmore")

        monkeypatch.setattr(torch.cuda, "synchronize", poisoned)
        crash = after_failure(failure, CUDA)
        known = after_failure(failure_of(FAILED[0]), CUDA)
        monkeypatch.undo()
    assert crash.status == "crash"
    assert crash.error == f"{failure.error} (then: CUDA error: device-side assert triggered)"
    assert known.error == "AcceleratorError: CUDA error: device-side assert triggered"
