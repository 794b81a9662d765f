"""What a method can leave behind in its process: settings of torch, Python and the system."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as nn_module

THREAD_GRACE = 0.5
"""Seconds in which threads that a method started may still end."""
LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
PATCHABLE = (torch, torch.nn.functional, torch.nn.init, np, random, time, os)
"""Modules whose functions are put back if a method replaced them; those of Defuse are as well."""


class Setting(NamedTuple):
    """A part of the state of the process."""

    get: Callable[[], Any]
    set: Callable[[Any], object] | None = None
    """None for what can't be put back."""


def _attribute(owner: Any, name: str) -> Setting:
    return Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _container(owner: Any) -> Setting:
    """Return the setting of a dict or list that is changed in place."""
    if isinstance(owner, list):
        return Setting(owner.copy, lambda value: owner.__setitem__(slice(None), value))
    return Setting(lambda: dict(owner), lambda value: (owner.clear(), owner.update(value)))


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _environment() -> dict[str, str]:
    """Return the environment without what torch itself adds when a training first loads more."""
    return {name: x for name, x in os.environ.items() if not name.startswith("TORCHINDUCTOR_")}


def _set_environment(before: dict[str, str]) -> None:
    for name in _environment().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return None


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _set_handlers(before: dict[int, Any]) -> None:
    now = _handlers()
    for number, handler in before.items():
        if handler is not None and now[number] is not handler and handler != now[number]:
            signal.signal(number, handler)


def _alarm() -> float:
    """Return when the alarm goes off by ``time.monotonic``; 0 if none is set."""
    remaining = signal.getitimer(signal.ITIMER_REAL)[0]
    return time.monotonic() + remaining if remaining else 0.0


def _limits() -> dict[str, tuple[int, int]]:
    return {name: resource.getrlimit(number) for name, number in LIMITS.items()}


def _set_limits(before: dict[str, tuple[int, int]]) -> None:
    for name, number in LIMITS.items():
        if before[name] != resource.getrlimit(number):
            hard = resource.getrlimit(number)[1]
            soft, allowed = before[name]
            try:
                resource.setrlimit(number, (soft, allowed))
            except (ValueError, OSError):  # a hard limit is not raised again: as far as it lets
                resource.setrlimit(number, (hard if soft == -1 or soft > hard > -1 else soft, hard))


def _file_mode_mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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
    "cudnn.enabled": _attribute(torch.backends.cudnn, "enabled"),
    "cudnn.benchmark": _attribute(torch.backends.cudnn, "benchmark"),
    "cudnn.deterministic": _attribute(torch.backends.cudnn, "deterministic"),
    "cudnn.allow_tf32": _attribute(torch.backends.cudnn, "allow_tf32"),
    "matmul.allow_tf32": _attribute(torch.backends.cuda.matmul, "allow_tf32"),
    "float32 matmul precision": Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    "mkldnn.enabled": _attribute(torch.backends.mkldnn, "enabled"),
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
    f"{name[1:].replace('_', ' ')} of torch modules": _container(getattr(nn_module, name))
    for name in dir(nn_module)
    if name.startswith("_global_") and isinstance(getattr(nn_module, name), dict)
}
SETTINGS: dict[str, Setting] = {
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
    "working directory": Setting(_working_directory, os.chdir),
    "environment variables": Setting(_environment, _set_environment),
    "signal handlers": Setting(_handlers, _set_handlers),
    "blocked signals": Setting(
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda value: signal.pthread_sigmask(signal.SIG_SETMASK, value),
    ),
    "resource limits": Setting(_limits, _set_limits),
    "file mode mask": Setting(_file_mode_mask, os.umask),
    "recursion limit": Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    "garbage collection": Setting(
        gc.isenabled, lambda value: gc.enable() if value else gc.disable()
    ),
    "trace function": Setting(sys.gettrace, sys.settrace),
    "profile function": Setting(sys.getprofile, sys.setprofile),
    "module search path": _container(sys.path),
    "standard output": _attribute(sys, "stdout"),
    "standard error": _attribute(sys, "stderr"),
    "numpy's error handling": Setting(np.geterr, lambda value: np.seterr(**value)),
}
"""By name; those that others depend on come first."""


class ProcessState:
    """The state of the process before a task, to be put back after it.

    Whoever runs a task calls ``restore`` as soon as the method has ended: a setting such as
    autocast would change the evaluation, and the tasks that come after it.
    """

    def __init__(self) -> None:
        self.changed: list[str] = []
        """What ``restore`` found changed, each once."""
        self.spoiled = False
        """Whether something could not be put back; the process should run no other task."""
        self._before = {name: setting.get() for name, setting in SETTINGS.items()}
        self._filters = list(warnings.filters)
        self._alarm = _alarm()
        self._functions = {owner: dict(vars(owner)) for owner in _owners()}
        self._threads = set(sys._current_frames())

    def restore(self, *, last: bool = False) -> None:
        """Put back what differs, and note it; ``last`` ends the alarm of the task as well."""
        alarm = _alarm()
        if last or 0 < self._alarm < time.monotonic():
            signal.setitimer(signal.ITIMER_REAL, 0)
        elif abs(alarm - self._alarm) > 1:
            remaining = max(0, self._alarm - time.monotonic())
            signal.setitimer(signal.ITIMER_REAL, remaining, 1.0)
        if self._alarm == 0 < alarm or 0 < alarm < self._alarm - 1:
            self._note("alarm")
        for name, setting in SETTINGS.items():
            before = self._before[name]
            if setting.get() != before:
                self._note(name)
                try:
                    if setting.set is not None:
                        setting.set(before)
                except Exception:  # whatever it is, the state tells
                    self.spoiled = True
                self.spoiled |= setting.get() != before
        for name in self._put_back_functions():
            self._note(name)
        warnings.filters[:] = self._filters  # type: ignore[index]  # imports add some: no note
        self._find_threads()

    def notes(self) -> dict[str, str]:
        """Return the note of a record that says what was changed; none if nothing was."""
        return {"process": self._said()} if self.changed else {}

    def noted(self, error: str) -> str:
        """Return the text of an error with what was changed."""
        return f"{error} ({self._said()})" if self.changed else error

    def _said(self) -> str:
        return f"put back after it: {', '.join(self.changed)}"

    def _note(self, what: str) -> None:
        if what not in self.changed:
            self.changed.append(what)

    def _put_back_functions(self) -> Iterator[str]:
        for owner, before in self._functions.items():
            now = dict(vars(owner))
            for name in now.keys() | before.keys():
                old, new = before.get(name), now.get(name)
                is_replaced = old is not new and (callable(old) or callable(new))
                is_added = old is None and isinstance(owner, ModuleType)
                if is_replaced and not is_added and not _wrapped_by_torch(old, new):
                    setattr(owner, name, old) if name in before else delattr(owner, name)
                    yield f"{owner.__name__}.{name}"

    def _find_threads(self) -> None:
        end = time.monotonic() + THREAD_GRACE
        while (left := set(sys._current_frames()) - self._threads) and time.monotonic() < end:
            time.sleep(0.01)
        if left:
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            self._note("threads that go on: " + ", ".join(names.get(x, "unnamed") for x in left))
            self.spoiled = True
            self._threads |= left


def _wrapped_by_torch(old: Any, new: Any) -> bool:
    """Tell whether torch put a wrapper of its own around a function, as its compiler does."""
    code = getattr(new, "__code__", None)
    own = code is not None and Path(code.co_filename).is_relative_to(Path(torch.__file__).parent)
    return own and getattr(new, "__wrapped__", None) is old


def _owners() -> Iterator[Any]:
    """Yield the modules and classes whose functions are put back: torch's layers and our own."""
    yield from PATCHABLE
    yield torch.Tensor
    yield from (x for x in vars(nn).values() if isinstance(x, type) and issubclass(x, nn.Module))
    for name, module in list(sys.modules.items()):
        if name.startswith("harness.") and isinstance(module, ModuleType):
            yield module
            members = list(vars(module).values())
            yield from (x for x in members if isinstance(x, type) and x.__module__ == name)
