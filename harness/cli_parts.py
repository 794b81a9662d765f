"""What the commands of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.plan import Study

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
    from harness.study import load_study

    return load_study(path, data_root, default_cache())


def echo(text: str) -> None:
    """Write a line for the user."""
    click.echo(text)
