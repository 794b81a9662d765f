"""Whether a report is up to date: beside its files lies the digest of all that it was made from.

That is the program, the study's file, its plan, and its records; other versions of the libraries
are not told apart. Light: what is up to date is found so in no time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.plan.keys import canonical
from harness.plan.registry import describe, program_files
from harness.plan.spec import Study
from harness.store.record_files import LatestRecords
from harness.store.store import publish

MADE_FROM = ".made_from.json"
SOURCES = {".py", ".html", ".css", ".js"}


def input_digest(studies: Sequence[Study], records: LatestRecords, against: str | None = None) -> str:
    """Return the digest of what a report of these studies is made from."""
    whole = hashlib.sha256(canonical(against).encode())
    for part in (*_program(), *(part for study in studies for part in _of_study(study, records))):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _program() -> Iterator[bytes]:
    for _, path in sorted(program_files().items()):
        if path.suffix in SOURCES:
            yield path.read_bytes()


def _of_study(study: Study, records: LatestRecords) -> Iterator[bytes]:
    """Yield the file, the plan, what defenses say of themselves, and the records without their scalars."""
    yield study.path.encode()
    yield Path(study.path).read_bytes()
    yield canonical([(cell.key, cell.skip) for cell in study.cells]).encode()
    names = [victim.name for victim in study.defended.values()]  # an imported one's: its folder's
    yield canonical(names).encode()
    for ref in sorted({cell.defense.ref for cell in study.cells}):
        yield repr(describe("defense", ref).about).encode()
    for key in (*study.victims(), *(cell.key for cell in study.cells)):
        yield records.text(key)


def write_stamp(folder: Path, made_from: str, written: Sequence[Path]) -> None:
    """Keep what the report in ``folder`` was made from, and which files it has."""
    kept = {"inputs": made_from, "files": [path.name for path in written]}
    publish(folder / MADE_FROM, json.dumps(kept, indent=1).encode())


def up_to_date(folder: Path, made_from: str) -> bool:
    """Tell whether the report in ``folder`` was made from just this and has all its files."""
    path = folder / MADE_FROM
    if not path.exists():
        return False
    kept = json.loads(path.read_bytes())
    return bool(kept["inputs"] == made_from) and all(
        (folder / name).exists() for name in kept["files"]
    )
