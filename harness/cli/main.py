"""The command line. Heavy imports are inside the commands, so that ``defuse --help`` is instant."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.check import check, check_own_methods
from harness.cli.exporting import export
from harness.cli.importing import import_
from harness.cli.init import init
from harness.cli.options import (
    DATA_ROOT,
    OK,
    ONLY,
    OUT,
    SETTINGS,
    STUDY,
    console,
    echo,
    folders_given,
)
from harness.cli.printing import exit_code, print_plan, print_progress, progress_json
from harness.cli.report import compare, report, report_if_needed
from harness.cli.schema import schema
from harness.cli.show import logs, show
from harness.cli.status import status
from harness.cli.store import compact, gc, merge
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.execution.options import Options
    from harness.plan.study import Study
    from harness.store.store import Store

USER_ERROR, INTERRUPTED = 2, 130
TWICE = ": what is open may be run twice; the results are the same"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="defuse-bench")
def cli() -> None:
    """Compare backdoor defenses: a YAML study goes in, leaderboards and figures come out.

    STUDY is a YAML file, or the name of a study that comes with Defuse, like quickstart.

    For a start: defuse init study, then defuse run study.yaml.

    A victim is an attacked model; a cell is one defense on one victim with one set of clean images.

    While it runs and afterwards: status counts the cells of a study, report writes boards and
    figures of all of them, show tells about one, logs has what its method printed.
    """


for command in (
    init,
    check,
    status,
    report,
    compare,
    show,
    logs,
    compact,
    merge,
    gc,
    schema,
    export,
    import_,
):
    cli.add_command(command)


def _gpu_numbers(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    if text is None:
        return None
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdigit() for number in numbers):
        raise click.BadParameter(f"numbers of GPUs are needed, like 0,1, not {text!r}")
    return tuple(map(int, numbers))


@cli.command()
@STUDY
@SETTINGS
@ONLY
@click.option(
    "--mode",
    type=click.Choice(["run", "retry", "force", "read-only"]),
    default="run",
    show_default=True,
    help="run: what has no record; retry: failures too; force: all again; read-only: nothing.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan, hours, GPU memory and disk, try own methods, and stop.",
)
@OUT
@DATA_ROOT
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, cuda:1, ...; mps and xpu, which are untested.",
)
@click.option("--workers", type=click.IntRange(min=1), help="CPU workers [default: one per core].")
@click.option("--gpus", callback=_gpu_numbers, metavar="0,1", help="GPUs to use [default: all].")
@click.option(
    "--per-gpu",
    type=click.IntRange(min=1),
    help="Workers that share a GPU [default: as many as the model's measured memory allows].",
)
@click.option(
    "--inline", is_flag=True, help="Run everything in this process, for debugging a method."
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write what methods log as TensorBoard events, below this folder.",
)
@click.option("--pdb", is_flag=True, help="Like --inline; a failure opens the debugger.")
@click.option("--json", "as_json", is_flag=True, help="Print counts by status as JSON at the end.")
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
def run(study_path: Path, out: Path, data_root: Path | None, **given: Any) -> int:
    """Run what is open in STUDY, then write its report.

    STUDY is a YAML file, or the name of a study that comes with Defuse, like quickstart. KEY=VALUE
    sets a key of the study for this run, like seeds='[0, 1]' or gate.asr=0.5.
    """
    from harness.execution.options import Options
    from harness.execution.run import run_study
    from harness.execution.run_lock import run_lock
    from harness.execution.selection import Selection
    from harness.execution.signals import Interrupted
    from harness.execution.slots import HardwareRequest
    from harness.store.store import store_of
    from harness.study.load import choose_study
    from harness.study.only import only

    whole = choose_study(study_path, data_root, given["settings"], folders=folders_given())
    study = only(whole, given["choices"])
    store, selection = store_of(out), Selection(mode=given["mode"])
    if given["dry_run"]:
        print_plan(study, store.latest(), selection)
        return check_own_methods(study)
    hardware = HardwareRequest(given["device"], given["workers"], given["gpus"], given["per_gpu"])
    options = Options(
        selection, hardware, given["inline"] or given["pdb"], given["pdb"], given["tensorboard"]
    )
    if given["launcher"] == "slurm":
        return _submit(study, store, options, given["sbatch"], out)
    try:
        with run_lock(study.path, store) as holder:
            if holder:
                click.echo(f"{study.path} is already being run by {holder}{TWICE}", err=True)
            latest = run_study(study, store, options, console(stderr=True))
    except Interrupted as signal:
        print_progress(study, store.latest())
        click.echo(f"ended by {signal}; finished cells are kept, run again to go on", err=True)
        return signal.code
    if given["as_json"]:
        echo(json.dumps(progress_json(whole, latest), indent=2))
        return exit_code(whole, latest)
    return report_if_needed(whole, latest, out)


def _submit(study: Study, store: Store, options: Options, sbatch: str, out: Path) -> int:
    from harness.execution.run import run_study
    from harness.execution.slurm import submit

    submission = submit(run_study, study, store, options, sbatch)
    if not submission.arrays:
        return report_if_needed(study, store.latest(), out)
    arrays = ", ".join(submission.arrays)
    echo(f"submitted {submission.victims} victims and {submission.cells} cells as arrays {arrays}")
    echo(f"follow them with: defuse status {study.typed} --watch")
    return OK


@cli.command("list", short_help="List methods and data sets, with their hyperparameters.")
@click.argument(
    "kind", type=click.Choice(["attacks", "defenses", "models", "probes", "data"]), required=False
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with hyperparameters and defaults.")
def list_(kind: str | None, as_json: bool) -> int:
    """List attacks, defenses, models, probes and data sets, with their hyperparameters."""
    from harness.plan.catalogue import as_text, entries

    catalogue = entries(kind)
    echo(json.dumps(catalogue, indent=2) if as_json else as_text(catalogue))
    return OK


def require_posix(platform: str) -> None:
    """Refuse Windows, where processes have no groups and no signals that end them.

    Raises:
        UserError: ``platform``, as in ``sys.platform``, is Windows.
    """
    if platform == "win32":
        raise UserError("Defuse runs on Linux and macOS; on Windows use WSL: wsl --install")


def main() -> None:
    """Run the command line; a user's mistake is one line per fault and exit code 2."""
    try:
        require_posix(sys.platform)
        sys.exit(cli(standalone_mode=False))
    except UserError as error:
        click.echo(str(error), err=True)
        sys.exit(USER_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(USER_ERROR)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; finished cells are kept, run again to go on", err=True)
        # not sys.exit, which would wait for threads and processes that are still busy, such as
        # those that draw figures; files are moved into place whole, so that none is left half
        os._exit(INTERRUPTED)
