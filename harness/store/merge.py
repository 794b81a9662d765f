"""Joins the stores of two machines."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.store.compact import distinct, write_lines
from harness.store.store import Store, publish

Versions = dict[str, set[str]]
"""By method, and for training and evaluation: the versions that records were made with."""


class MergeResult(NamedTuple):
    """What was new."""

    records: int
    artifacts: int


def merge(into: Store, other: Store, *, mixed: bool = False) -> MergeResult:
    """Copy what ``other`` has and ``into`` lacks; a second time, nothing is left to copy.

    Args:
        into: the store that grows.
        other: the store that is read.
        mixed: whether records made with other versions of a method may join.

    Raises:
        UserError: versions differ, and ``mixed`` is false; an artifact is damaged. Then no record
            has moved.
    """
    if not other.records_folder.is_dir():
        raise UserError(f"{other.folder}: no store with records")
    if not mixed:
        _same_versions(into, other)
    artifacts = [path for path in other.artifacts_folder.glob("*/*") if path.name[0] != "."]
    lacking = [path for path in artifacts if not into.path_of(path.name).exists()]
    for path in lacking:
        other.get(path.name)  # it is whole
        _copy(path, into.path_of(path.name))
    fresh = write_lines(into, "merged", distinct(other.lines(), into.lines()))
    return MergeResult(fresh, len(lacking))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    publish(target, source.read_bytes())


def versions(store: Store) -> Versions:
    """Return the versions that a store's newest records were made with."""
    found: Versions = defaultdict(set)
    for record in store.latest().values():
        for name, version in _versions_of(record["kind"], record["spec"]):
            found[name].add(str(version))
    return found


def _versions_of(kind: str, spec: dict[str, Any]) -> list[tuple[str, Any]]:
    if kind == "cell":
        defense = spec["defense"]
        return [
            (f"defense {defense['name']}", defense["version"]),
            ("evaluation", spec["evaluation"]),
        ]
    methods = [what for what in ("attack", "model") if what in spec]
    made = [way for way in ("training", "importing", "byproduct") if way in spec]
    return [
        *((f"{what} {spec[what]['name']}", spec[what]["version"]) for what in methods),
        *((way, spec[way]) for way in made),
    ]


def _same_versions(into: Store, other: Store) -> None:
    ours, theirs = versions(into), versions(other)
    faults = [
        f"{name}: version {', '.join(sorted(theirs[name]))} in {other.folder}, "
        f"but {', '.join(sorted(ours[name]))} in {into.folder}"
        for name in sorted(set(ours) & set(theirs))
        if theirs[name] - ours[name]
    ]
    if faults:
        raise UserError(
            "\n".join([*faults, "nothing was merged; --mixed-versions merges nevertheless"])
        )
