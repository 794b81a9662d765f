"""Finds the study that a user names: a YAML file, or one of the studies that come with Defuse."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import click

from harness.errors import UserError, nearest


def builtin_studies() -> dict[str, Path]:
    """Return the files of the built-in studies by name; in a subfolder, ``folder/name``."""
    folder = Path(str(importlib.resources.files("harness.configs")))
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*.yaml"))
    }


def find_study(name: str) -> Path:
    """Return the path of a study: a file, or the name of a built-in study.

    Raises:
        UserError: neither. A file that ends in .yaml is looked for when it is read.
    """
    path = Path(name)
    if path.is_file() or path.suffix == ".yaml":
        return path
    studies = builtin_studies()
    if name not in studies:
        raise UserError(f"no file and no built-in study {name!r}{nearest(name, studies)}")
    return studies[name]


STUDY = click.argument("study_path", metavar="STUDY", type=find_study)
