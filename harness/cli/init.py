"""The command init: a commented file of the user's own that runs at once."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import click

from harness.cli.options import OK, echo
from harness.errors import UserError

NEXT = {
    "study": "run it: defuse run {file} (study.schema.json beside it is for editors)",
    "defense": "try it: defuse check {file}, then add ./{file} to the defenses of a study",
    "attack": "try it: defuse check {file}, then add ./{file} to the attacks of a study",
    "model": "try it: defuse check {file}, then add ./{file} to the models of a study",
}
"""What a user does with each kind of file."""
SCHEMA = "study.schema.json"
"""The file beside a study from which an editor completes and checks its keys."""


@click.command(short_help="Write a commented file of your own that runs at once.")
@click.argument("kind", type=click.Choice(list(NEXT)))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def init(kind: str, file: Path | None) -> int:
    """Write a commented study, defense, attack or model of your own, which runs at once.

    FILE is by default study.yaml, my_defense.py, my_attack.py or my_model.py. Beside a study goes
    study.schema.json, with which editors complete and check its keys.
    """
    template = importlib.resources.files("harness.cli") / "templates"
    if kind == "study":
        path = file or Path("study.yaml")
        _write(path, (template / "study.yaml").read_text(encoding="utf-8"))
        _write_schema(path.with_name(SCHEMA))
    else:
        path = file or Path(f"my_{kind}.py")
        name = path.stem
        if path.suffix != ".py" or not name.isidentifier():
            raise UserError(f"{path}: a Python file is needed, named like a function: my_{kind}.py")
        text = (template / f"{kind}.py").read_text(encoding="utf-8")
        _write(path, text.replace(f"my_{kind}", name))
    echo(f"wrote {path}; {NEXT[kind].format(file=path)}")
    return OK


def _write_schema(path: Path) -> None:
    """Write the schema that the study names, for editors; an older one is replaced.

    Beside the study it holds on every machine that has both, with no installation and no network.
    """
    schema = importlib.resources.files("harness.configs") / SCHEMA
    try:
        path.write_bytes(schema.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{path} exists; give another name: defuse init KIND FILE") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
