"""Commands that show how far a study is: status, and show for a single cell."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, OK, OUT, STUDY, console, echo
from harness.cli.printing import exit_code, print_progress, print_queue


@click.command()
@STUDY
@OUT
@DATA_ROOT
@click.option(
    "--watch", is_flag=True, help="Update it every few seconds, until nothing is missing."
)
def status(study_path: Path, out: Path, data_root: Path | None, watch: bool) -> int:
    """Show how far STUDY is, and its jobs in the queue."""
    from harness.store.store import store_of
    from harness.study.load import load_study

    study, store = load_study(study_path, data_root), store_of(out)
    if watch:
        from harness.execution.watch import follow

        follow(study, store, console())
    latest = store.latest()
    print_progress(study, latest)
    print_queue(study, store)
    return exit_code(study, latest)


@click.command()
@STUDY
@click.argument("cell")
@OUT
@DATA_ROOT
def show(study_path: Path, cell: str, out: Path, data_root: Path | None) -> int:
    """Show the record of CELL: (the start of) a key, or words of its name ("ims SPC 10 seed 0")."""
    from harness.plan.find import find_cell
    from harness.store.gate import cell_status, unplanted_victims
    from harness.store.record import to_json
    from harness.store.store import store_of
    from harness.study.load import load_study

    study, store = load_study(study_path, data_root), store_of(out)
    planned = find_cell(study, cell)
    record = store.newest(planned.key)
    if record is not None:
        echo(json.dumps(to_json(record), indent=2))
        return OK
    latest = store.latest()
    unplanted = unplanted_victims(study, latest)
    missing = {
        "key": planned.key,
        "name": planned.name,
        "spec": planned.spec,
        "status": cell_status(planned, latest, unplanted),
        "reason": planned.skip or unplanted.get(planned.victim.key, ""),
    }
    echo(json.dumps(missing, indent=2))
    return OK
