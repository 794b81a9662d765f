"""The command line. Heavy imports live inside the commands, so that ``defuse --help`` is instant."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.launch.schedule import Latest, Mode
    from harness.plan import Study

OK, SOME_FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="defuse-bench")
def cli() -> None:
    """Compare backdoor defenses: a YAML study goes in, leaderboards and figures come out."""


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
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes [default: one per core or GPU]."
)
@click.option("--inline", is_flag=True, help="Run everything in this process, for debugging a method.")
def run(study: Path, mode: Mode, dry_run: bool, out: Path, data_root: Path | None, **how: Any) -> int:
    """Run what is open in STUDY, then write its report."""
    from harness.run import Options, run_study, store_of

    plan = _plan(study, data_root)
    store = store_of(out)
    if dry_run:
        _print_plan(plan, store.latest(), mode)
        return OK
    run_study(plan, store, Options(mode, **how), _console(stderr=True))
    return _report([plan], out)


@cli.command()
@STUDY
@OUT
@DATA_ROOT
def status(study: Path, out: Path, data_root: Path | None) -> int:
    """Show how far STUDY is."""
    from harness.run import store_of

    plan = _plan(study, data_root)
    latest = store_of(out).latest()
    _print_state(plan, latest)
    return _exit_code(plan, latest)


@cli.command()
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--against", metavar="DEFENSE", help="Count wins against it [default: the best ranked].")
@OUT
@DATA_ROOT
def report(studies: tuple[Path, ...], against: str | None, out: Path, data_root: Path | None) -> int:
    """Write tables, figures and the page of one or several studies from their records."""
    return _report([_plan(study, data_root) for study in studies], out, against)


@cli.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("after", metavar="B", type=click.Path(path_type=Path, exists=True, file_okay=False))
def compare(before: Path, after: Path) -> int:
    """Compare the records of two --out folders; exit code 1 when B is significantly worse than A."""
    from harness.report.compare import compare_stores
    from harness.run import store_of

    compared = compare_stores(store_of(before), store_of(after))
    _console().print(compared.terminal)
    return SOME_FAILED if compared.regressed else OK


@cli.command("list")
@click.argument("kind", type=click.Choice(["attacks", "defenses", "models", "data"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with hyperparameters and defaults.")
def list_(kind: str | None, as_json: bool) -> int:
    """List attacks, defenses, models and data sets, with their hyperparameters."""
    from harness.listing import as_text, entries

    found = entries(kind)
    _echo(json.dumps(found, indent=2) if as_json else as_text(found))
    return OK


@cli.command()
@STUDY
@click.argument("cell")
@OUT
@DATA_ROOT
def show(study: Path, cell: str, out: Path, data_root: Path | None) -> int:
    """Show the record of CELL: a key, its first letters, or words of its name ("ims SPC 10 seed 0")."""
    from harness.listing import found_cell
    from harness.run import store_of

    plan = _plan(study, data_root)
    wanted = found_cell(plan, cell)
    latest = store_of(out).latest()
    missing = {
        "key": wanted.key,
        "name": wanted.name,
        "spec": wanted.spec,
        "status": wanted.skip or "missing",
    }
    _echo(json.dumps(latest.get(wanted.key, missing), indent=2))
    return OK


def _plan(path: Path, data_root: Path | None) -> Study:
    from harness.data.cache import default_cache
    from harness.study import load_study

    return load_study(path, data_root, default_cache())


def _report(plans: list[Study], out: Path, against: str | None = None) -> int:
    from harness.report.source import gather
    from harness.report.write import write_report
    from harness.run import store_of

    source = gather(plans, store_of(out), against)
    written = write_report(source, out / "+".join(plan.name for plan in plans))
    _console().print(written.terminal)
    _echo(f"{written.page}\n{len(written.paths)} files in {written.page.parent}")
    return max(_exit_code(plan, source.records) for plan in plans)


def _exit_code(plan: Study, latest: Latest) -> int:
    from harness.run import FAILED, state

    return SOME_FAILED if any(state(plan, latest).cells[status] for status in FAILED) else OK


def _print_state(plan: Study, latest: Latest) -> None:
    from harness.run import state

    for kind, counts in zip(("cells", "victims"), state(plan, latest), strict=True):
        said = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        _echo(f"{plan.name}: {sum(counts.values())} {kind}: {said}")


def _print_plan(plan: Study, latest: Latest, mode: Mode) -> None:
    from harness.run import open_keys

    todo = open_keys(plan, latest, mode)
    for cell in plan.cells:
        mark = (
            f"skip: {cell.skip}" if cell.skip else "open" if cell.key in todo else latest[cell.key]["status"]
        )
        _echo(f"{cell.key}  {mark:8}  {cell.name}")
    _print_state(plan, latest)
    _echo(f"{len(todo)} cells to run")


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def _echo(text: str) -> None:
    click.echo(text)


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
