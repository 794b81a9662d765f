"""The whole campaign, in minutes: ``python -m tests.campaign [studies stores ...] [--all]``.

Prints a table, and what is wrong; ends with 1 if anything is. ``--all`` prints every case.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import click

from tests.campaign import checkpoints, own_methods, records, stores, studies
from tests.campaign.outcome import Case, Outcome, outcome_of
from tests.helpers.backdoorbench_records import make_squares_victim

KINDS_OF_OUTCOME = ("refused", "accepted", "ignored", "traceback", "hang", "executed")
COLUMNS = ("cases", *KINDS_OF_OUTCOME, "faults", "slowest")


def _store_cases(folder: Path) -> Iterator[Case]:
    stores.good_store(folder)
    return stores.cases(folder)


def _field_cases(folder: Path) -> Iterator[Case]:
    stores.good_store(folder)
    return stores.fields(folder)


def _record_cases(folder: Path) -> Iterator[Case]:
    squares = make_squares_victim(folder / "squares")
    return records.cases(squares, records.good_record(squares, folder))


KINDS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "studies": lambda folder: studies.cases(320),
    "checkpoints": lambda folder: checkpoints.cases(),
    "records": _record_cases,
    "stores": _store_cases,
    "fields": _field_cases,
    "own_methods": lambda folder: own_methods.cases(own_methods.prepared(folder)),
}


def main(words: list[str]) -> int:
    """Attempt all cases of the kinds that are named, or of all."""
    kinds = [word for word in words if word in KINDS] or list(KINDS)
    rows, faults = [], 0
    with tempfile.TemporaryDirectory() as name:
        os.environ["DEFUSE_CACHE"] = f"{name}/cache"
        for kind in kinds:
            good = Path(name) / kind
            good.mkdir()
            found = []
            for number, case in zip(count(), KINDS[kind](good), strict=False):
                folder = Path(name) / f"{kind}-{number}"
                folder.mkdir()
                found.append(outcome_of(case, folder))
                shutil.rmtree(folder, ignore_errors=True)
                _show(found[-1], whole="--all" in words)
            faults += sum(bool(x.fault) for x in found)
            rows.append((kind, *_counts(found)))
    click.echo(f"{'':12}" + "".join(f"{x:>10}" for x in COLUMNS))
    for kind, *cells in rows:
        click.echo(f"{kind:12}" + "".join(f"{x:>10}" for x in cells))
    return int(faults > 0)


def _show(outcome: Outcome, *, whole: bool) -> None:
    if whole or outcome.fault:
        said = outcome.message if outcome.fault else outcome.message[:200]
        click.echo(
            f"{outcome.fault or 'fine'}: {outcome.case.what}: {outcome.kind} after "
            f"{outcome.seconds:.1f} s: {said}"
        )


def _counts(found: list[Outcome]) -> list[str]:
    kinds = [outcome.kind for outcome in found]
    numbers = [len(found), *(kinds.count(x) for x in KINDS_OF_OUTCOME)]
    numbers.append(sum(bool(x.fault) for x in found))
    return [*map(str, numbers), f"{max(x.seconds for x in found):.1f} s"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
