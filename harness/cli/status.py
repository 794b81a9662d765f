"""The command that shows how far a study is: status."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, ONLY, OUT, SETTINGS, STUDY, console, echo, folders_given
from harness.cli.printing import (
    exit_code,
    print_activity,
    print_progress,
    progress_json,
)


@click.command(short_help="Show how far a study is.")
@STUDY
@SETTINGS
@ONLY
@OUT
@DATA_ROOT
@click.option(
    "--watch", is_flag=True, help="Update it every few seconds, until nothing is missing."
)
@click.option("--json", "as_json", is_flag=True, help="Counts by status, what runs, as JSON.")
def status(
    study_path: Path,
    settings: tuple[str, ...],
    choices: tuple[str, ...],
    out: Path,
    data_root: Path | None,
    **flags: bool,
) -> int:
    """Show how far STUDY is, what runs and is queued; exit code 1 if a cell failed.

    KEY=VALUE and --only are as for run.
    """
    from harness.execution.running import running_tasks
    from harness.store.store import store_of
    from harness.study.load import choose_study

    study = choose_study(study_path, data_root, settings, choices, folders_given())
    store = store_of(out)
    if flags["watch"]:
        from harness.execution.watch import follow

        follow(study, store, console())
    latest = store.latest()
    if flags["as_json"]:
        running = [task._asdict() for task in running_tasks(study, store)]
        echo(json.dumps({**progress_json(study, latest), "running": running}, indent=2))
        return exit_code(study, latest)
    print_progress(study, latest)
    print_activity(study, store)
    return exit_code(study, latest, say_why=True)
