"""Caches of facts about files, valid for as long as the files' sizes and times stay the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import UserError

Json = dict[str, Any]


def file_stamp(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and its modification time in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def load_json(path: Path) -> Json | None:
    """Return a file's JSON object, or ``None`` when the file is missing or damaged."""
    try:
        content: Json = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return content


@contextmanager
def writing_to(cache: Path) -> Iterator[None]:
    """Make the cache's folder; inside the context, an error of the disk names it.

    Raises:
        UserError: the folder can't be made or written to.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"cache {cache}: {error.strerror}; set DEFUSE_CACHE to another folder"
        ) from error
