"""The folders and files of a BackdoorBench record: where they are found."""

from __future__ import annotations

from pathlib import Path

from harness.bridges.files.images import IMAGES
from harness.errors import UserError
from harness.plan.paths import expanded

RESULT = "attack_result.pt"


def find_records(pattern: str, base: Path) -> list[Path]:
    """Return the record folders that a path or glob, relative to ``base``, matches.

    Raises:
        UserError: a match is no record, or there is none.
    """
    full = expanded(base, pattern).absolute()
    folder = full.parent if full.name == RESULT else full
    if (folder / RESULT).is_file():  # also where its name has the signs of a pattern
        return [folder]
    path = Path(pattern).expanduser()
    start = Path(path.anchor) if path.is_absolute() else base.absolute()  # base is no pattern
    found = start.glob(str(path.relative_to(path.anchor)))
    records = sorted(x for x in found if (x / RESULT).is_file())
    if not records:
        raise UserError(f"no BackdoorBench record (a folder with {RESULT}) at {full}")
    return records


def images_of_test_sets(folder: Path) -> list[Path]:
    """Return the image files of a record's test sets, triggered and cross, sorted by path.

    Raises:
        UserError: one of them is a pipe, a folder, or a link to nothing or to itself.
    """
    files = sorted(x for x in folder.glob("*test*/*/*") if x.suffix.lower() in IMAGES)
    if other := next((path for path in files if not path.is_file()), None):
        raise UserError(f"{other}: not a regular file; remove it")
    return files
