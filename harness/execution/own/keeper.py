"""Keeps a process: all that it has started ends with it, wherever its children went."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.process import parent_process
from pathlib import Path

from harness.execution.own.linux import prctl

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def run_kept(work: Callable[[], None], let_go: Callable[[], None]) -> None:
    """Run ``work`` in a child process, and end as it does, once all that it started has ended.

    SIGTERM ends it all, as does the end of the process that asked for this one. On Linux that
    reaches children in sessions of their own too, and those whose parents are gone: this process
    adopts them.

    Args:
        work: what the child runs.
        let_go: closes here what belongs to the child alone.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.setpgid(0, 0)  # Ctrl-C does not reach it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    child = os.fork()
    if child == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        work()
        return
    status = 0
    with suppress(SystemExit):  # of SIGTERM
        let_go()
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_all(child)
    _end_like(status)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _end_all(child: int) -> None:
    """End the child's process group, and every process that is, or becomes, a child of this one."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ChildProcessError):  # none is left
        while True:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                for each in _children():
                    os.kill(each, signal.SIGKILL)
                os.waitpid(-1, 0)


def _children() -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                yield int(stat.parent.name)


def _end_like(status: int) -> None:
    """End this process with the wait status of another."""
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # of SIGKILL, which has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
