"""The command line. Heavy imports live inside the commands, so that ``defuse --help`` is instant."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.exporting import export
from harness.cli.importing import import_
from harness.cli.options import (
    DATA_ROOT,
    OK,
    OUT,
    SOME_FAILED,
    STUDY,
    console,
    echo,
    exit_code,
    plan_of,
    print_plan,
    print_queue,
    print_state,
)
from harness.cli.report import report_anew, report_if_needed
from harness.cli.store import compact, gc, merge
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.execution.run import Options
    from harness.execution.schedule import Mode
    from harness.plan.spec import Study
    from harness.store.store import Store

USER_ERROR, INTERRUPTED = 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="defuse-bench")
def cli() -> None:
    """Compare backdoor defenses: a YAML study goes in, leaderboards and figures come out."""


cli.add_command(compact)
cli.add_command(merge)
cli.add_command(gc)
cli.add_command(export)
cli.add_command(import_)


def _numbers(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not all(part.strip().isdigit() for part in text.split(",")):
        raise click.BadParameter(f"numbers of GPUs are needed, like 0,1, not {text!r}")
    return tuple(int(part) for part in text.split(","))


@cli.command()
@STUDY
@click.option(
    "--mode",
    type=click.Choice(["run", "retry", "force", "read-only"]),
    default="run",
    show_default=True,
    help="run: what has no record; retry: failures too; force: everything anew; read-only: nothing.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@OUT
@DATA_ROOT
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--workers", type=click.IntRange(min=1), help="CPU workers [default: one per core].")
@click.option("--gpus", callback=_numbers, metavar="0,1", help="GPUs to use [default: all].")
@click.option(
    "--per-gpu",
    type=click.IntRange(min=1),
    help="Workers that share a GPU [default: as many as the model's measured memory allows].",
)
@click.option(
    "--inline", is_flag=True, help="Run everything in this process, for debugging a method."
)
@click.option(
    "--launcher",
    type=click.Choice(["local", "slurm"]),
    default="local",
    show_default=True,
    help="Where to run.",
)
@click.option(
    "--slurm", "sbatch", default="", metavar="NAME=VALUE,...", help="Parameters of sbatch."
)
def run(
    study: Path, mode: Mode, dry_run: bool, out: Path, data_root: Path | None, **how: Any
) -> int:
    """Run what is open in STUDY, then write its report."""
    from harness.execution.run import Options, run_study, store_of
    from harness.execution.schedule import Selection
    from harness.execution.signals import Interrupted
    from harness.execution.slots import HardwareRequest

    plan = plan_of(study, data_root)
    store, wish = store_of(out), Selection(mode=mode)
    if dry_run:
        print_plan(plan, store.latest(), wish)
        return OK
    hardware = HardwareRequest(how["device"], how["workers"], how["gpus"], how["per_gpu"])
    options = Options(wish, hardware, how["inline"])
    if how["launcher"] == "slurm":
        return _submit(plan, store, options, how["sbatch"], out)
    try:
        latest = run_study(plan, store, options, console(stderr=True))
    except Interrupted as stopped:
        print_state(plan, store.latest())
        click.echo(f"ended by {stopped}; finished cells are kept, run again to go on", err=True)
        return stopped.code
    return report_if_needed(plan, latest, out)


def _submit(plan: Study, store: Store, options: Options, sbatch: str, out: Path) -> int:
    from harness.execution.slurm import submit

    sent = submit(plan, store, options, sbatch)
    if not sent.arrays:
        return report_if_needed(plan, store.latest(), out)
    echo(
        f"submitted {sent.victims} victims and {sent.cells} cells as arrays {', '.join(sent.arrays)}"
    )
    echo(f"follow them with: defuse status {plan.path} --out {out} --watch")
    return OK


@cli.command()
@STUDY
@OUT
@DATA_ROOT
@click.option(
    "--watch", is_flag=True, help="Show it anew every few seconds, until nothing is missing."
)
def status(study: Path, out: Path, data_root: Path | None, watch: bool) -> int:
    """Show how far STUDY is, and its jobs in the queue."""
    from harness.execution.run import store_of

    plan, store = plan_of(study, data_root), store_of(out)
    if watch:
        from harness.execution.watch import follow

        follow(plan, store, console())
    latest = store.latest()
    print_state(plan, latest)
    print_queue(plan, store)
    return exit_code(plan, latest)


@cli.command()
@click.argument(
    "studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--against", metavar="DEFENSE", help="Count wins against it [default: the best ranked]."
)
@OUT
@DATA_ROOT
def report(
    studies: tuple[Path, ...], against: str | None, out: Path, data_root: Path | None
) -> int:
    """Write tables, figures and the page of one or several studies from their records."""
    return report_anew([plan_of(study, data_root) for study in studies], out, against)


@cli.command()
@click.argument(
    "before", metavar="A", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.argument("after", metavar="B", type=click.Path(path_type=Path, exists=True, file_okay=False))
def compare(before: Path, after: Path) -> int:
    """Compare the records of two --out folders; exit code 1 when B is significantly worse than A."""
    from harness.execution.run import store_of
    from harness.report.compare import compare_stores

    compared = compare_stores(store_of(before), store_of(after))
    console().print(compared.terminal)
    return SOME_FAILED if compared.regressed else OK


@cli.command("list")
@click.argument(
    "kind", type=click.Choice(["attacks", "defenses", "models", "data"]), required=False
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with hyperparameters and defaults.")
def list_(kind: str | None, as_json: bool) -> int:
    """List attacks, defenses, models and data sets, with their hyperparameters."""
    from harness.plan.catalogue import as_text, entries

    found = entries(kind)
    echo(json.dumps(found, indent=2) if as_json else as_text(found))
    return OK


@cli.command()
@STUDY
@click.argument("cell")
@OUT
@DATA_ROOT
def show(study: Path, cell: str, out: Path, data_root: Path | None) -> int:
    """Show the record of CELL: a key, its first letters, or words of its name ("ims SPC 10 seed 0")."""
    from harness.execution.run import store_of
    from harness.plan.find import found_cell

    plan = plan_of(study, data_root)
    wanted = found_cell(plan, cell)
    missing = {
        "key": wanted.key,
        "name": wanted.name,
        "spec": wanted.spec,
        "status": wanted.skip or "missing",
    }
    record = store_of(out).newest(wanted.key)
    echo(json.dumps(missing if record is None else record, indent=2))
    return OK


def main() -> None:
    """Run the command line; a user's mistake is one line per fault and exit code 2."""
    try:
        sys.exit(cli(standalone_mode=False))
    except UserError as error:
        click.echo(str(error), err=True)
        sys.exit(USER_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(USER_ERROR)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; finished cells are kept, run again to go on", err=True)
        os._exit(INTERRUPTED)
