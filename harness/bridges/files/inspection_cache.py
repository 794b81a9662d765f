"""Results of inspecting imported files, kept for as long as the files stay the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.data.file_cache import Json, file_stamp, load_json, writing_to
from harness.plan.apart import read_apart
from harness.plan.keys import digest
from harness.plan.registry import IMPORT_LIMIT
from harness.store.store import write_atomic

VERSION = 3
"""Raise it when an inspection of the same files would now return something else."""


def cached_inspection(
    files: Iterable[Path], arguments: Any, cache: Path, inspect: Callable[[], Json]
) -> Json:
    """Return what ``inspect`` returns, from the cache if it has inspected these files unchanged.

    Args:
        files: the files inspected, recognised by path, size and modification time.
        arguments: JSON values that the result depends on besides the files.
        cache: a folder, made if need be.
        inspect: returns JSON values; raises a UserError for broken files, which is not cached.

    Raises:
        UserError: of ``inspect``; or the cache can't be written to.
    """
    stamps = [(str(path), *file_stamp(path)) for path in files]
    path = cache / f"{digest([VERSION, stamps, arguments])}.json"
    result = load_json(path)
    if result is None:
        result = inspect()
        with writing_to(cache):
            write_atomic(path, json.dumps(result).encode())
    return result


def try_once(path: Path, arguments: Any, cache: Path, attempt: Callable[[], None]) -> None:
    """Run code of the user's own file in a process apart, unless it has worked there before.

    Args:
        path: the file.
        arguments: JSON values that the attempt depends on besides the file.
        cache: the folder of ``cached_inspection``.
        attempt: imports torch and runs the code.

    Raises:
        UserError: of ``attempt``; or it takes too long, or ends its process.
    """

    def work() -> dict[str, Json]:
        import torch

        torch.set_num_threads(1)  # a fork has none of the threads of its parent
        attempt()
        return {}

    cached_inspection([path], arguments, cache, lambda: read_apart(work, path, IMPORT_LIMIT))
