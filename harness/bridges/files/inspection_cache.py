"""The files of foreign victims: found, and looked into once per state of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.plan.keys import digest
from harness.store.store import publish

LOOK = 1
"""Version of what is looked for: raised when an older look would say something else."""
RESULT = "attack_result.pt"


def records_at(pattern: str, base: Path) -> list[Path]:
    """Return the folders of records that a path or glob, relative to ``base``, leads to.

    Raises:
        UserError: there is no record.
    """
    whole = (base / Path(pattern).expanduser()).absolute()
    if any(sign in pattern for sign in "*?["):
        found = whole.relative_to(whole.anchor)
        records = sorted(x for x in Path(whole.anchor).glob(str(found)) if (x / RESULT).is_file())
    else:
        records = [whole.parent if whole.name == RESULT else whole]
    missing = [folder for folder in records if not (folder / RESULT).is_file()]
    if missing or not records:
        raise UserError(f"no record of BackdoorBench, a folder with {RESULT}, at {whole}")
    return records


def test_pictures(folder: Path) -> list[Path]:
    """Return the images of a record's test sets, triggered and cross, in order of their names."""
    return sorted(folder.glob("*test*/*/*.png"))


def remembered(
    files: Iterable[Path], asked: Any, cache: Path, look: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return what ``look`` finds, from the cache where it has looked at these files as they are now.

    Args:
        files: those whose size and time tell whether they are as they were.
        asked: JSON values that the answer depends on besides.
        cache: a folder, made if need be.
        look: raises a UserError for files that are not in order; that is not remembered.
    """
    states = [(str(path), *_state(path)) for path in files]
    place = cache / f"{digest([LOOK, states, asked])}.json"
    if place.is_file():
        known: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return known
    found = look()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        publish(place, json.dumps(found).encode())
    except OSError as error:
        raise UserError(
            f"cache {cache}: {error.strerror}; set DEFUSE_CACHE to another folder"
        ) from error
    return found


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
