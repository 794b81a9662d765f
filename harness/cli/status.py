"""The command that shows how far a study is: status."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, OUT, STUDY, console, echo
from harness.cli.printing import exit_code, print_progress, print_queue, progress_json


@click.command(short_help="Show how far a study is.")
@STUDY
@OUT
@DATA_ROOT
@click.option(
    "--watch", is_flag=True, help="Update it every few seconds, until nothing is missing."
)
@click.option("--json", "as_json", is_flag=True, help="Counts by status, as JSON.")
def status(study_path: Path, out: Path, data_root: Path | None, watch: bool, as_json: bool) -> int:
    """Show how far STUDY is, and its jobs in the queue."""
    from harness.store.store import store_of
    from harness.study.load import load_study

    study, store = load_study(study_path, data_root), store_of(out)
    if watch:
        from harness.execution.watch import follow

        follow(study, store, console())
    latest = store.latest()
    if as_json:
        echo(json.dumps(progress_json(study, latest), indent=2))
        return exit_code(study, latest)
    print_progress(study, latest)
    print_queue(study, store)
    return exit_code(study, latest)
