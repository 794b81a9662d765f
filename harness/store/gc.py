"""Finds the files that no study needs: victims, predictions, decoded data sets, leavings. Never a record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.plan.keys import digest
from harness.plan.study import Study
from harness.store.record_files import LatestRecords
from harness.store.store import Store

AGE = 3600.0
"""Seconds that a file must be old: a younger one may belong to a record that is about to be
written."""


class Garbage(NamedTuple):
    """A file or folder that can go."""

    kind: str
    path: Path
    size: int
    """Bytes."""


def waste(store: Store, studies: list[Study], data_cache: Path) -> list[Garbage]:
    """Return what can go.

    Leavings of killed processes, and artifacts that no newest record refers to. With ``studies``,
    also the artifacts and decoded data sets that none of these studies refers to; a victim that is
    wanted again later is trained again.
    """
    found = [*_leavings(store, data_cache), *_artifacts(store, studies)]
    return [*found, *_data(data_cache, studies)] if studies else found


def free(found: list[Garbage]) -> None:
    """Delete what ``waste`` found."""
    for item in found:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)


def _leavings(store: Store, data_cache: Path) -> Iterator[Garbage]:
    places = (store.artifacts_folder.glob("*/.*"), store.records_folder.glob(".*"))
    for path in (path for place in (*places, data_cache.glob(".decoding-*")) for path in place):
        if _old(path):
            yield Garbage("leaving", path, _size(path))


def _artifacts(store: Store, studies: list[Study]) -> Iterator[Garbage]:
    latest = store.latest()
    keys = {cell.key for study in studies for cell in study.cells}
    victims = [victim for study in studies for victim in study.victims().values()]
    keys |= {victim.key for victim in victims}
    keys |= {digest(victim.prepared_spec) for victim in victims if not victim.source.imported}
    kept = {
        name
        for key in latest
        if key in keys or not studies
        for name in latest.artifacts(key).values()
    }
    kinds = _kinds(latest)
    for path in sorted(store.artifacts_folder.glob("*/[!.]*")):
        if path.name not in kept and _old(path):
            yield Garbage(kinds.get(path.name, "unreferenced"), path, path.stat().st_size)


def _kinds(latest: LatestRecords) -> dict[str, str]:
    """Return what each artifact is: of a victim, or a role in a cell's record."""
    return {
        name: "victim" if latest.kind(key) == "victim" else role
        for key in latest
        for role, name in latest.artifacts(key).items()
    }


def _data(cache: Path, studies: list[Study]) -> Iterator[Garbage]:
    kept = {cell.victim.data.digest for study in studies for cell in study.cells}
    for folder in sorted(cache.glob("[!.]*")):
        if folder.is_dir() and folder.name != "index" and folder.name not in kept and _old(folder):
            yield Garbage("data set", folder, _size(folder))


def _old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > AGE


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
