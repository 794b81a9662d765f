"""The device of a process and its numerics, set once, so that results repeat."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import platform
import random
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import torch

from harness.errors import UserError
from harness.store.record import Environment

MALLOC_OPTIONS = {-3: 2**25, -1: 2**31 - 1, -2: 2**26}
"""glibc malloc options by their numbers: mmap threshold, trim threshold, top pad, in bytes."""

FUSED_ATTENTION = (
    torch.backends.cuda.enable_flash_sdp,
    torch.backends.cuda.enable_mem_efficient_sdp,
    torch.backends.cuda.enable_cudnn_sdp,
)
"""Switches of kernels for attention. The first is that of CPUs too, which keep it."""
PEAK_RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def select_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu", "cuda", "cuda:1", "mps" or "xpu"; make a GPU current.

    On CUDA, attention is computed in single operations from then on: the gradients of the fused
    kernels do not repeat where torch is asked for deterministic ones with warnings only.

    Raises:
        UserError: the machine has no such device.
    """
    if name == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    else:
        device = _opened(name)
    if device.type == "cuda":
        for use_kernel in FUSED_ATTENTION:
            use_kernel(False)
    return device


def _opened(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} is not available on this machine: {str(error).splitlines()[0]}"
        ) from error
    return device


def set_up_torch(threads: int) -> None:
    """Fix thread count and kernels: the same seeds give the same bits on the same machine.

    Where CUDA has no deterministic kernel, torch warns and takes another.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory, else the system zeroes the pages of large tensors every time."""
    if platform.libc_ver()[0] == "glibc":
        for parameter, value in MALLOC_OPTIONS.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def device_fault(device: torch.device) -> str:
    """Return why a GPU no longer works in this process, in one line; empty if it does.

    Waits until its queue is empty, where errors show.
    """
    if device.type != "cuda":
        return ""
    try:
        torch.cuda.synchronize(device)
        (torch.ones(1, device=device) + 1).item()
    except torch.OutOfMemoryError:
        return ""
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return ""


def reseed(generator: torch.Generator, seed: int) -> None:
    """Seed a method's generator, and the global ones of torch, numpy and Python."""
    generator.manual_seed(seed)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def environment(device: torch.device) -> Environment:
    """Return the record's description of the machine."""
    named = device.type in {"cuda", "xpu"}
    hardware = getattr(torch, device.type).get_device_name(device) if named else _cpu_name()
    machine = Environment(
        device=device.type,
        hardware=hardware,
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        python=platform.python_version(),
    )
    if device.type != "cuda":
        return machine
    return msgspec.structs.replace(
        machine,
        cuda=torch.version.cuda or "",
        cudnn=str(torch.backends.cudnn.version() or ""),
        driver=_driver_version(),
    )


def _driver_version() -> str:
    """Return the version of the GPU's driver; empty if it is not known."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.partition("\n")[0].strip()


def _cpu_name() -> str:
    """Return the processor's model and the widest instructions that torch uses on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure peak memory, where that can be measured.

    What earlier tasks left is given back first, so that it does not count.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    elif _resets_resident_peak():
        ctypes.CDLL(None).malloc_trim(0)
        PEAK_RESET.write_text("5", encoding="ascii")


def peak_memory_mb(device: torch.device) -> float | None:
    """Return the peak since ``reset_peak_memory`` in MiB; None where it can't be measured.

    On a GPU it is what was allocated, on a CPU the resident set of the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type != "cpu" or not _resets_resident_peak():
        return None
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 2**10


def peak_reserved_mb(device: torch.device) -> float | None:
    """Return the peak of what torch kept for itself on a GPU, which others can't have, in MiB."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_reserved(device) / 2**20


@functools.cache
def _resets_resident_peak() -> bool:
    """Tell whether the system lets a process forget its peak, as Linux does."""
    try:
        PEAK_RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return platform.libc_ver()[0] == "glibc"


def limit_memory(device: torch.device, share: float) -> None:
    """Keep this process to a share of a GPU: no neighbour changes which algorithms find memory."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share, device)


def memory_left(device: torch.device) -> float:
    """Return the share of a GPU's memory that this process may still take; 1 on other devices.

    What it no longer needs is given back first.
    """
    if device.type != "cuda":
        return 1.0
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    taken = torch.cuda.memory_reserved(device) / total
    return max(0.0, torch.cuda.get_per_process_memory_fraction(device) - taken)
