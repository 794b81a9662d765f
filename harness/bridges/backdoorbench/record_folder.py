"""The folders and files of a BackdoorBench record: where they are found."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError
from harness.plan.paths import expanded

RESULT = "attack_result.pt"


def find_records(pattern: str, base: Path) -> list[Path]:
    """Return the record folders that a path or glob, relative to ``base``, matches.

    Raises:
        UserError: a match is no record, or there is none.
    """
    full = expanded(base, pattern).absolute()
    if any(sign in pattern for sign in "*?["):
        relative = full.relative_to(full.anchor)
        records = sorted(x for x in Path(full.anchor).glob(str(relative)) if (x / RESULT).is_file())
    else:
        records = [full.parent if full.name == RESULT else full]
    missing = [folder for folder in records if not (folder / RESULT).is_file()]
    if missing or not records:
        raise UserError(f"no BackdoorBench record (a folder with {RESULT}) at {full}")
    return records


def images_of_test_sets(folder: Path) -> list[Path]:
    """Return the image files of a record's test sets, triggered and cross, sorted by path.

    Raises:
        UserError: one of them is a pipe, a folder, or a link to nothing or to itself.
    """
    files = sorted(folder.glob("*test*/*/*.png"))
    if other := next((path for path in files if not path.is_file()), None):
        raise UserError(f"{other}: not a regular file; remove it")
    return files
