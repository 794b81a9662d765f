"""What the commands of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from harness.execution.schedule import Selection
    from harness.plan.spec import Study
    from harness.store.record_files import LatestRecords
    from harness.store.store import Store

OK, SOME_FAILED = 0, 1

STUDY = click.argument("study", type=click.Path(path_type=Path))
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where records, victims and reports go.",
)
DATA_ROOT = click.option(
    "--data-root",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="DEFUSE_DATA",
    help="Folder of local data sets, one folder each (also: DEFUSE_DATA).",
)


def plan_of(path: Path, data_root: Path | None) -> Study:
    """Return a validated study."""
    from harness.data.cache import default_cache
    from harness.study.load import load_study

    return load_study(path, data_root, default_cache())


def echo(text: str) -> None:
    """Write a line for the user."""
    click.echo(text)


def exit_code(plan: Study, latest: LatestRecords) -> int:
    """Return 1 when a cell has failed, else 0."""
    from harness.execution.run import FAILED, state

    return SOME_FAILED if any(state(plan, latest).cells[status] for status in FAILED) else OK


def print_state(plan: Study, latest: LatestRecords) -> None:
    """Write how many cells and victims have which status."""
    from harness.execution.run import state

    for kind, counts in zip(("cells", "victims"), state(plan, latest), strict=True):
        said = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        echo(f"{plan.name}: {sum(counts.values())} {kind}: {said}")


def print_queue(plan: Study, store: Store) -> None:
    """Write how many of the study's jobs are in the queue of a cluster."""
    from harness.execution.slurm import queue

    if jobs := queue(plan, store):
        said = ", ".join(f"{n} {state}" for state, n in sorted(jobs.items()))
        echo(f"{plan.name}: {jobs.total()} jobs in the queue: {said}")


def print_plan(plan: Study, latest: LatestRecords, wish: Selection) -> None:
    """Write every cell with its key and what a run would do with it."""
    from harness.execution.run import open_keys

    todo = open_keys(plan, latest, wish)
    for cell in plan.cells:
        mark = (
            f"skip: {cell.skip}"
            if cell.skip
            else "open"
            if cell.key in todo
            else latest.status(cell.key)
        )
        echo(f"{cell.key}  {mark:8}  {cell.name}")
    print_state(plan, latest)
    echo(f"{len(todo)} cells to run")


def console(*, stderr: bool = False) -> Console:
    """Return where rich output goes."""
    from rich.console import Console

    return Console(stderr=stderr)
