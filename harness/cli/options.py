"""Options, exit codes and output that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harness.study.builtin import find_study

if TYPE_CHECKING:
    from rich.console import Console

OK, SOME_FAILED = 0, 1
"""Exit codes; a user's mistake is 2, Ctrl-C 130."""

STUDY = click.argument("study_path", metavar="STUDY", type=find_study)
SETTINGS = click.argument("settings", metavar="[KEY=VALUE...]", nargs=-1)
ONLY = click.option(
    "--only",
    "choices",
    multiple=True,
    metavar="NAME=VALUE,...",
    help="Only these cells, like 'defense=ims,spc=2'; several add up.",
)


def _results_folder(ctx: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Refuse an ``--out`` that can't be, or is not, a folder of results."""
    if path.exists() and not path.is_dir():
        raise click.BadParameter(f"{path} is a file; a folder of results is needed")
    if (path / "records").is_dir() and not (path / "store").is_dir():
        raise click.BadParameter(f"{path} is a store; give the folder around it, {path.parent}")
    given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if given and ctx.command.name in READERS and not (path / "store").is_dir():
        raise click.BadParameter(f"{path} has no results: there is no folder {path / 'store'}")
    return path


READERS = {"status", "report", "compact", "gc"}
"""Commands whose ``--out`` must exist; others make it."""
OUT = click.option(
    "--out",
    callback=_results_folder,
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


def folders_given() -> Iterator[str]:
    """Yield ``--out`` and ``--data-root`` with their values, where this command line has them."""
    ctx = click.get_current_context()
    for parameter, option in (("out", "--out"), ("data_root", "--data-root")):
        if ctx.get_parameter_source(parameter) is ParameterSource.COMMANDLINE:
            yield from (option, str(ctx.params[parameter]))


def echo(text: str) -> None:
    """Write a line for the user."""
    click.echo(text)


def console(*, stderr: bool = False) -> Console:
    """Return where rich output goes."""
    from rich.console import Console

    return Console(stderr=stderr)
