"""Landlock: a process gives up what it may open, for itself and its children, for good.

Linux 5.13 and later have it, where it is switched on; no privileges are needed. Source: in the
kernel's documentation, Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.execution.own.linux import prctl, syscall

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PR_SET_NO_NEW_PRIVS = 38
RULE_PATH_BENEATH = 1
VERSION = 1
"""The flag with which ``CREATE_RULESET`` returns the version."""

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
READ = EXECUTE | READ_FILE | READ_DIR
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""What can be allowed for a file; the rest is about folders."""
ALL_OF_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""What of files each version can forbid: links between folders since 2, cutting files since 3."""
TCP = (1 << 0) | (1 << 1)
"""To offer and to make connections; forbidden since version 4."""
OUTWARD = (1 << 0) | (1 << 1)
"""Abstract sockets and signals to processes that are less restricted; forbidden since version 6."""


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


@functools.cache
def version() -> int:
    """Return the kernel's version of Landlock; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))
    except OSError:
        return 0


def closed() -> tuple[str, ...]:
    """Return what ``restrict`` closes on this machine: files, network, signals; perhaps nothing."""
    since = {"files": 1, "network": 4, "signals": 6}
    return tuple(what for what, first in since.items() if version() >= first)


def restrict(read: Iterable[Path], write: Iterable[Path]) -> None:
    """Forbid this thread and its children to open other files, as far as the kernel can.

    TCP, and signals to processes outside, are forbidden too. What has no Landlock stays as it is.

    Args:
        read: files and folders, with all that is in them, that may be read and run.
        write: those in which anything may be done.
    """
    if not version():
        return
    everything = ALL_OF_VERSION[min(version(), max(ALL_OF_VERSION))]
    forbidden = _Ruleset(everything, TCP if version() >= 4 else 0, OUTWARD if version() >= 6 else 0)
    size = 24 if version() >= 6 else 16 if version() >= 4 else 8
    rules = syscall(CREATE_RULESET, ctypes.byref(forbidden), ctypes.c_size_t(size), 0)
    for access, paths in ((READ, read), (everything, write)):
        for path in paths:
            _allow(rules, path, access)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: Path, access: int) -> None:
    """Allow what a path names now; nothing if it does not exist."""
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rule = _PathBeneath(access if path.is_dir() else access & OF_FILES, file)
    syscall(ADD_RULE, rules, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(file)
