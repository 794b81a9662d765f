"""Joins the stores of two machines."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError
from harness.store.compact import distinct, write_lines
from harness.store.record_files import check_keys
from harness.store.store import Store, write_atomic


class MergeResult(NamedTuple):
    """How many records and artifacts were new."""

    records: int
    artifacts: int


def merge(into: Store, other: Store, *, mixed: bool = False) -> MergeResult:
    """Copy what ``other`` has and ``into`` lacks; merging again copies nothing.

    Args:
        into: the store that is written.
        other: the store that is read.
        mixed: whether records made with other versions of a method may join.

    Raises:
        UserError: versions differ and ``mixed`` is false, a record's key is not that of its spec,
            or an artifact is damaged; then no record has been copied.
    """
    if not other.records_folder.is_dir():
        raise UserError(f"{other.folder}: no store with records")
    check_keys(other.lines(scalars=False), other.records_folder)
    if not mixed:
        _check_versions(into, other)
    missing = [path for path in other.artifact_files() if not into.path_of(path.name).exists()]
    for path in missing:
        other.get(path.name)  # raises where it is damaged
        _copy(path, into.path_of(path.name))
    records = write_lines(into, "merged", distinct(other.lines(), into.lines()))
    return MergeResult(records, len(missing))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, source.read_bytes())


def _versions(store: Store) -> dict[str, set[str]]:
    """Return the versions of methods and loops that a store's newest records were made with."""
    versions: dict[str, set[str]] = defaultdict(set)
    for record in store.latest().values():
        for name, version in record.versions().items():
            versions[name].add(version)
    return versions


def _check_versions(into: Store, other: Store) -> None:
    before, added = _versions(into), _versions(other)
    faults = [
        f"{name}: version {', '.join(sorted(added[name]))} in {other.folder}, "
        f"but {', '.join(sorted(before[name]))} in {into.folder}"
        for name in sorted(set(before) & set(added))
        if added[name] - before[name]
    ]
    if faults:
        raise UserError(
            "\n".join([*faults, "nothing was merged; --mixed-versions merges nevertheless"])
        )
