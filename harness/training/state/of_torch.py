"""The settings of torch that a method can leave changed."""

from __future__ import annotations

import sys

import torch
import torch.utils.deterministic
from torch.nn.modules import module as nn_module

from harness.training.state.setting import Setting, attribute_of, container

OPTIMIZER = torch.optim.Optimizer.__module__
"""The module with the hooks of all optimizers, which torch hides behind its package."""


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _flushes_denormals() -> bool:
    return bool((torch.full((1,), 1e-38) * 0.1 == 0).item())


def _current_gpu() -> int:
    return torch.cuda.current_device() if torch.cuda.is_initialized() else 0


def _autocast(device: str) -> dict[str, Setting]:
    return {
        f"autocast on {device}": Setting(
            lambda: torch.is_autocast_enabled(device),
            lambda value: torch.set_autocast_enabled(device, value),
        ),
        f"autocast dtype on {device}": Setting(
            lambda: torch.get_autocast_dtype(device),
            lambda value: torch.set_autocast_dtype(device, value),
        ),
    }


_BACKENDS = {
    "cudnn.enabled": attribute_of(torch.backends.cudnn, "enabled"),
    "cudnn.benchmark": attribute_of(torch.backends.cudnn, "benchmark"),
    "cudnn.deterministic": attribute_of(torch.backends.cudnn, "deterministic"),
    "cudnn.allow_tf32": attribute_of(torch.backends.cudnn, "allow_tf32"),
    "matmul.allow_tf32": attribute_of(torch.backends.cuda.matmul, "allow_tf32"),
    "float32 matmul precision": Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    "cudnn.benchmark_limit": attribute_of(torch.backends.cudnn, "benchmark_limit"),
    "mkldnn.enabled": attribute_of(torch.backends.mkldnn, "enabled"),
    "mkldnn.deterministic": attribute_of(torch.backends.mkldnn, "deterministic"),
    "nnpack": Setting(torch._C._get_nnpack_enabled, torch._C._set_nnpack_enabled),
    "filling of empty tensors": attribute_of(
        torch.utils.deterministic, "fill_uninitialized_memory"
    ),
    "multithreading of gradients": Setting(
        torch._C._is_multithreading_enabled, torch._C._set_multithreading_enabled
    ),
    "flash attention": Setting(
        torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp
    ),
    "memory-efficient attention": Setting(
        torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp
    ),
    "math attention": Setting(
        torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp
    ),
    "cudnn attention": Setting(
        torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp
    ),
}
_HOOKS = {
    f"{name[1:].replace('_', ' ')} of torch {kind}": container(getattr(module, name))
    for kind, module in (("modules", nn_module), ("optimizers", sys.modules[OPTIMIZER]))
    for name in dir(module)
    if name.startswith("_global_") and isinstance(getattr(module, name), dict)
}
OF_TORCH: dict[str, Setting] = {
    "default device": Setting(torch.get_default_device, _set_default_device),
    "torch function modes": Setting(torch._C._len_torch_function_stack),
    "torch dispatch modes": Setting(torch._C._len_torch_dispatch_stack),
    "inference mode": Setting(torch.is_inference_mode_enabled),
    "default dtype": Setting(torch.get_default_dtype, torch.set_default_dtype),
    "grad mode": Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": Setting(torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    **_autocast("cpu"),
    **_autocast("cuda"),
    "autocast cache": Setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    "number of threads": Setting(torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": Setting(
        torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
    ),
    "denormal numbers": Setting(_flushes_denormals, torch.set_flush_denormal),
    "current GPU": Setting(_current_gpu, torch.cuda.set_device),
    **_BACKENDS,
    **_HOOKS,
}
"""By name; those that others depend on come first."""
