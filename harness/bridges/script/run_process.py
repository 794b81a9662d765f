"""Runs a program of somebody else's: with a deadline, in a process group of its own, its last output kept."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from harness.contract import Context

KEPT = 1 << 16
"""Bytes of output that are kept: the last ones."""
TICK = 0.2
"""Seconds between two looks at the clock."""


class CompletedProcess(NamedTuple):
    """How a program ended."""

    code: int
    """Exit code; negative for a signal."""
    output: bytes
    """The end of what it wrote to its standard output and error."""


def run_process(command: Sequence[str], folder: Path, variables: Mapping[str, str], ctx: Context) -> CompletedProcess:
    """Run a program in a folder until it ends; whatever it leaves running in its group is ended with it.

    Its standard input stays open for as long as this process lives and is never written to.

    Raises:
        OutOfTimeError: the deadline passed; the program is dead.
        OSError: it can't be started.
    """
    with _started(command, folder, {**os.environ, **variables}) as process:
        output = _followed(process, ctx)
        return CompletedProcess(process.wait(), output)


@contextmanager
def _started(
    command: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _followed(process: subprocess.Popen[bytes], ctx: Context) -> bytes:
    """Return the end of the output when the program has ended, whoever else still holds the pipe."""
    assert process.stdout is not None
    kept = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ctx.check()
            if selector.select(TICK):
                part = os.read(process.stdout.fileno(), KEPT)
                kept = (kept + part)[-KEPT:]
                if not part:
                    return kept
            elif process.poll() is not None:
                return kept
