"""System calls of Linux that Python has no functions for."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_LIBRARY = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; does nothing on other systems.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform == "linux" and _LIBRARY.prctl(option, value, 0, 0, 0) == -1:
        raise _last_error()


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call and return what it returns.

    Raises:
        OSError: the kernel refuses, or has no such call.
    """
    result: int = _LIBRARY.syscall(number, *arguments)
    if result == -1:
        raise _last_error()
    return result


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
