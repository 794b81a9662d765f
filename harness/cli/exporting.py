"""Commands that write what a study made in the formats of other toolboxes."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, OK, OUT, STUDY, echo, plan_of


@click.group()
def export() -> None:
    """Write a study's models in the format of another toolbox."""


@export.command()
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
    study: Path,
    victims: tuple[str, ...],
    to: Path | None,
    device: str,
    out: Path,
    data_root: Path | None,
) -> int:
    """Write the victims of STUDY, and its defended models, as records that BackdoorBench loads."""
    from harness.bridges.backdoorbench.export import export_study
    from harness.execution.run import store_of
    from harness.training.device import device_named
    from harness.training.session import WorkerSession

    plan = plan_of(study, data_root)
    home = out / plan.name / "backdoorbench" if to is None else to
    for line in export_study(
        plan, victims, home, WorkerSession(store_of(out), device_named(device))
    ):
        echo(line)
    return OK
