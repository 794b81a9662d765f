"""Reads what a user's own file declares in a process apart: the file runs there, and never here."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from harness.errors import EntryErrors, UserError, faults_of, one_line

LIMIT = 10.0
"""Seconds that a file may take: at module level it only declares."""
MODULE_LEVEL = "(at module level a method file only declares; work belongs inside its functions)"


def read_apart(work: Callable[[], Any], path: Path, limit: float | None = None) -> Any:
    """Return the JSON values that ``work`` returns, which runs in a fork of this process.

    Args:
        work: runs the user's file.
        path: the file, for messages.
        limit: seconds that it may take; by default LIMIT.

    Raises:
        UserError: what ``work`` raised; or it ended its process, or took too long.
    """
    limit = LIMIT if limit is None else limit
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # its children end with it, and Ctrl-C does not reach it
        _answer(work, path, writer)
    os.close(writer)
    try:
        content = _content(reader, limit)
        if content is None:
            raise UserError(f"{path}: no end after {limit:g} s {MODULE_LEVEL}")
    finally:  # after Ctrl-C too
        for end in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                end(child, signal.SIGKILL)
        os.close(reader)
        os.waitpid(child, 0)
    try:
        answer = json.loads(content)
        faults, value = answer["faults"], answer["value"]
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path}: the file ends the program {MODULE_LEVEL}") from error
    if faults:
        raise EntryErrors([(tuple(location), str(message)) for location, message in faults])
    return value


def _answer(work: Callable[[], Any], path: Path, writer: int) -> None:
    """Write what some work returns, or its faults, and end this process."""
    try:
        try:
            with redirect_stdout(sys.stderr):  # what a command prints is for other programs
                answer = {"faults": [], "value": work()}
        except UserError as error:
            answer = {"faults": faults_of(error), "value": None}
        except Exception as error:  # whatever reading a file raises
            answer = {"faults": [((), f"{path}: {one_line(error)}")], "value": None}
        content = json.dumps(answer, default=repr).encode()
        while content:
            content = content[os.write(writer, content) :]
    finally:
        os._exit(1)  # whatever a file raises, nothing of this process goes on


def _content(reader: int, limit: float) -> bytes | None:
    """Return all that is written to a pipe until it is closed; None if it stays open too long."""
    end, content = time.monotonic() + limit, b""
    while select.select([reader], [], [], max(0, end - time.monotonic()))[0]:
        part = os.read(reader, 2**16)
        if not part:
            return content
        content += part
    return None
