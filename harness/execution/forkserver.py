"""Starts processes from a clean one, which has imported torch and knows nothing of a study."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from multiprocessing import forkserver, spawn
from multiprocessing.context import ForkServerContext
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any, NamedTuple

PASSED_ON = (
    *("PATH", "HOME", "USER", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "LD_", "MALLOC_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "CUDA", "CUBLAS_", "NVIDIA_", "NCCL_"),
    *("TORCH", "PYTORCH_", "TRITON_", "XDG_CACHE_HOME"),
)
"""How the names of the environment variables begin that the process is started with."""

PRELOADED = ["harness.execution.run_task", "torch._dynamo", "harness.execution.frozen_heap"]
"""What the clean process imports, so that others need not; an optimiser's first step imports the
second, in more than a second."""
ADDRESS = ("_forkserver_address", "_forkserver_authkey")
"""The attributes by which a process finds the clean one; the second since Python 3.14."""


@functools.cache
def context() -> ForkServerContext:
    """Return the context whose processes come from the clean one, with torch imported.

    It searches the same folders for modules as this process. Its command line, environment and
    working folder tell nothing of the study.
    """
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOADED)
    kept = {name: x for name, x in os.environ.items() if name.startswith(PASSED_ON)}
    searched = os.pathsep.join(str(Path(x).absolute()) for x in sys.path if x)
    clean = {**kept, "PYTHONSAFEPATH": "1", "PYTHONPATH": searched}
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(clean)
    try:
        with unlabelled(), chdir("/"):
            forkserver._forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return made


class Inherited(NamedTuple):
    """What a process that is started from the clean one gets besides its arguments."""

    environment: dict[str, str]
    server: dict[str, Any]
    """Where the clean process is found, by which this one starts others."""

    @classmethod
    def here(cls) -> Inherited:
        """Return that of the processes which this one starts."""
        context()
        server = vars(forkserver._forkserver)
        return cls(dict(os.environ), {name: server[name] for name in ADDRESS if name in server})

    def take(self) -> None:
        """Use it in this process."""
        os.environ.update(self.environment)
        vars(forkserver._forkserver).update(self.server, ensure_running=lambda: None)


@contextmanager
def unlabelled() -> Iterator[None]:
    """Start processes without the command line, the main module and the folder of this one."""
    before = spawn.get_preparation_data
    spawn.get_preparation_data = lambda name: {"name": name, "sys_path": sys.path}
    try:
        yield
    finally:
        spawn.get_preparation_data = before


def end_with_parent() -> None:
    """End this process's group as soon as the process that asked for it is gone, by kill -9 too."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)


def exit_text(code: int | None) -> str:
    """Return how a process ended, from its exit code."""
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
