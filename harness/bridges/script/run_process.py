"""Runs an external program in its own process group, with a deadline; returns its last output."""

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

OUTPUT_BYTES = 1 << 16
"""Bytes of output that are returned: the last ones."""
POLL_SECONDS = 0.2
"""Interval at which the deadline is checked."""


class CompletedProcess(NamedTuple):
    """The end of a program."""

    code: int
    """Exit code; negative for a signal."""
    output: bytes
    """The last bytes of its standard output and error."""


def run_process(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], ctx: Context
) -> CompletedProcess:
    """Run a program in a folder until it ends, then kill what is left of its process group.

    Its standard input stays open for as long as this process lives, and gets no data.

    Raises:
        OutOfTimeError: the deadline passed; the program was killed.
        OSError: it can't be started.
    """
    with _start(command, folder, {**os.environ, **variables}) as process:
        output = _read_output(process, ctx)
        return CompletedProcess(process.wait(), output)


@contextmanager
def _start(
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


def _read_output(process: subprocess.Popen[bytes], ctx: Context) -> bytes:
    """Return a program's last output once it has ended, even if a child keeps the pipe open."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ctx.check()
            if selector.select(POLL_SECONDS):
                chunk = os.read(process.stdout.fileno(), OUTPUT_BYTES)
                output = (output + chunk)[-OUTPUT_BYTES:]
                if not chunk:
                    return output
            elif process.poll() is not None:
                return output
