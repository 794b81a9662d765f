"""Finds files that nothing needs: artifacts, decoded data sets, leftover temporary files.

Records are never deleted.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.store.record_files import LatestRecords
from harness.store.store import Store

MIN_AGE = 3600.0
"""Seconds that a file must be old: a younger one may belong to a record that is not written yet."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}$")
"""Names of the files that ``atomic_path`` renames; other hidden files are not the store's."""


class Garbage(NamedTuple):
    """A file or folder that can be deleted."""

    kind: str
    path: Path
    size: int
    """Bytes."""


class Needed(NamedTuple):
    """What some studies need."""

    keys: set[str]
    """Keys of their cells, their victims and the states that attacks prepare."""
    datasets: set[str]
    """Digests of their data sets."""


def find_garbage(store: Store, data_cache: Path, needed: Needed | None = None) -> list[Garbage]:
    """Return what can be deleted.

    Leftover files of killed processes, and artifacts that no newest record names. With ``needed``,
    also artifacts of other records and other decoded data sets; a victim that is needed again later
    is trained again.
    """
    found = [*_leftover_files(store, data_cache), *_artifacts(store, needed)]
    return [*found, *_datasets(data_cache, needed.datasets)] if needed else found


def spared_bytes(store: Store, garbage: list[Garbage]) -> int:
    """Return the bytes of a store's artifacts that are no garbage."""
    freed = {item.path for item in garbage}
    return sum(x.lstat().st_size for x in store.artifact_files() if x not in freed)


def delete_garbage(garbage: list[Garbage]) -> None:
    """Delete what ``find_garbage`` found."""
    for item in garbage:
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)


def _leftover_files(store: Store, data_cache: Path) -> Iterator[Garbage]:
    """Yield temporary files and folders of processes that were killed."""
    hidden = [*store.artifacts_folder.glob("*/.*"), *store.records_folder.glob(".*")]
    yield from _old("leftover", (path for path in hidden if TEMPORARY.match(path.name)))
    yield from _old("leftover", data_cache.glob(".decoding-*"))


def _artifacts(store: Store, needed: Needed | None) -> Iterator[Garbage]:
    latest = LatestRecords(store.lines(scalars=False))  # stops at what it can't read
    keys = [key for key in latest if needed is None or key in needed.keys]
    kept = {name for key in keys for name in latest.artifacts(key).values()}
    kinds = _kinds(latest)
    for path in store.artifact_files():
        if path.name not in kept:
            yield from _old(kinds.get(path.name, "unreferenced"), [path])


def _kinds(latest: LatestRecords) -> dict[str, str]:
    """Return what each artifact is: ``victim`` for those of victims, else its role in a record."""
    return {
        name: "victim" if latest.kind(key) == "victim" else role
        for key in latest
        for role, name in latest.artifacts(key).items()
    }


def _datasets(cache: Path, needed: set[str]) -> Iterator[Garbage]:
    folders = (folder for folder in sorted(cache.glob("[!.]*")) if folder.is_dir())
    yield from _old("data set", [x for x in folders if x.name != "index" and x.name not in needed])


def _old(kind: str, paths: Iterable[Path]) -> Iterator[Garbage]:
    """Yield those of the paths that are old enough."""
    for path in paths:
        if time.time() - path.lstat().st_mtime > MIN_AGE:
            yield Garbage(kind, path, _size(path))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files)
