"""The command that describes file formats: schema."""

from __future__ import annotations

import json

import click

from harness.cli.options import OK, echo


@click.group()
def schema() -> None:
    """Print the JSON Schema of a file format."""


@schema.command()
def study() -> int:
    """Print the JSON Schema of a study file, for an editor."""
    from harness.study.json_schema import study_schema

    echo(json.dumps(study_schema(), indent=2))
    return OK


@schema.command(short_help="Print the JSON Schema of a record.")
def record() -> int:
    """Print the JSON Schema of a record: what a line of a record file can hold."""
    from harness.store.record_schema import record_schema

    echo(json.dumps(record_schema(), indent=2))
    return OK
