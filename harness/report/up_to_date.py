"""Whether a report is up to date: next to its files is the digest of all that it was made from.

That is the program, the study's file, its cells, its own figure files and its records; versions of
libraries do not count. No heavy imports, so that an up-to-date report is recognised at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from harness.plan.keys import canonical
from harness.plan.paper import Paper
from harness.plan.registry import program_files
from harness.plan.study import Study
from harness.report.frame.labels import methods_of
from harness.store.record_files import LatestRecords
from harness.store.store import write_atomic

MADE_FROM = ".made_from.json"
SOURCES = {".py", ".html", ".css", ".js"}


def input_digest(
    studies: Sequence[Study],
    records: LatestRecords,
    against: str | None = None,
    paper: Paper | None = None,
    published: Path | None = None,
    known: Path | None = None,
) -> str:
    """Return the digest of what a report of these studies is made from."""
    tables = [file.read_text(encoding="utf-8") if file else None for file in (published, known)]
    options = [against, None if paper is None else asdict(paper), *tables]
    whole = hashlib.sha256(canonical(options).encode())
    inputs = chain(_program(), *(_study_inputs(study, records) for study in studies))
    for content in inputs:
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def _program() -> Iterator[bytes]:
    for _, path in sorted(program_files().items()):
        if path.suffix in SOURCES:
            yield path.read_bytes()


def _study_inputs(study: Study, records: LatestRecords) -> Iterator[bytes]:
    """Yield study and figure files, what the command line may set, what methods declare, records.

    Records are those of victims, cells and probes, without their logs.
    """
    yield study.path.encode()
    yield Path(study.path).read_bytes()
    yield canonical([asdict(x) for x in (study.gate, study.rank, study.paper)]).encode()
    yield canonical([(cell.key, cell.skip) for cell in study.cells]).encode()
    names = [victim.name for victim in study.defended.values()]  # may name an imported folder
    yield canonical(names).encode()
    for method in methods_of(study):
        yield repr(method.info).encode()
    for ref in (*study.figures, *study.tables):
        yield Path(ref).read_bytes() if ref.endswith(".py") else ref.encode()
    cells, probes = (x.key for x in study.cells), (x.key for x in study.probe_runs)
    for key in (*study.victims(), *cells, *probes):
        line = records.line(key)
        yield b"" if line is None else line.text


def write_stamp(folder: Path, inputs: str, written: Sequence[Path]) -> None:
    """Keep the digest of what the report in ``folder`` was made from, and which files it has."""
    stamp = {"inputs": inputs, "files": [path.name for path in written]}
    write_atomic(folder / MADE_FROM, json.dumps(stamp, indent=1).encode())


def up_to_date(folder: Path, inputs: str) -> bool:
    """Tell whether the report in ``folder`` was made from just these and has all its files."""
    files = stamped_files(folder)
    return bool(files) and _stamp(folder)["inputs"] == inputs and all(map(Path.exists, files))


def stamped_files(folder: Path) -> list[Path]:
    """Return the files of the report in ``folder``, as its stamp names them; empty without one."""
    return [folder / name for name in _stamp(folder)["files"]]


def _stamp(folder: Path) -> dict[str, Any]:
    path = folder / MADE_FROM
    return dict(json.loads(path.read_bytes())) if path.exists() else {"inputs": "", "files": []}
