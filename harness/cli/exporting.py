"""The command export: writes a study's models in the formats of other toolboxes."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, OK, OUT, STUDY, echo


@click.group()
def export() -> None:
    """Write a study's models in the format of another toolbox."""


@export.command(short_help="Write victims and defended models as its records.")
@STUDY
@click.option(
    "--victim", "victims", multiple=True, help="A key, or words of a name [default: all]."
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where BackdoorBench is started, as its repository [default: OUT/<study>/backdoorbench].",
)
@click.option("--device", default="auto", show_default=True, help="What models are verified on.")
@OUT
@DATA_ROOT
def backdoorbench(
    study_path: Path,
    victims: tuple[str, ...],
    to: Path | None,
    device: str,
    out: Path,
    data_root: Path | None,
) -> int:
    """Write the victims of STUDY, and its defended models, as records that BackdoorBench loads."""
    from harness.bridges.backdoorbench.export import export_study
    from harness.store.store import store_of
    from harness.study.load import load_study
    from harness.training.device import select_device
    from harness.training.session import WorkerSession

    study = load_study(study_path, data_root)
    home = out / study.name / "backdoorbench" if to is None else to
    for line in export_study(
        study, victims, home, WorkerSession(store_of(out), select_device(device))
    ):
        echo(line)
    return OK
