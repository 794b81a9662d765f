"""The settings of Python, numpy and the system that a method can leave changed."""

from __future__ import annotations

import gc
import locale
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from harness.training.state.setting import Setting, attribute_of, container

LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


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


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _set_cores(before: set[int]) -> None:
    os.sched_setaffinity(0, before)


OF_PROCESS: dict[str, Setting] = {
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
    "thresholds of garbage collection": Setting(
        gc.get_threshold, lambda value: gc.set_threshold(*value)
    ),
    "seconds between threads": Setting(sys.getswitchinterval, sys.setswitchinterval),
    "cores that may be used": Setting(_cores, _set_cores),
    "priority": Setting(
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda value: os.setpriority(os.PRIO_PROCESS, 0, value),
    ),
    "locale": Setting(
        lambda: locale.setlocale(locale.LC_ALL), lambda x: locale.setlocale(locale.LC_ALL, x)
    ),
    "messages that are logged": attribute_of(logging.root.manager, "disable"),
    "trace function": Setting(sys.gettrace, sys.settrace),
    "profile function": Setting(sys.getprofile, sys.setprofile),
    "module search path": container(sys.path),
    "finders of modules": container(sys.meta_path),
    "hooks of paths of modules": container(sys.path_hooks),
    "standard output": attribute_of(sys, "stdout"),
    "standard error": attribute_of(sys, "stderr"),
    "numpy's error handling": Setting(np.geterr, lambda value: np.seterr(**value)),
}
"""By name."""
