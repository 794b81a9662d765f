"""Finds a study: a YAML file, or one of the studies that come with Defuse (``configs/``)."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from harness.errors import UserError, nearest
from harness.plan.paths import is_user_file


def builtin_studies() -> dict[str, Path]:
    """Return the files of the built-in studies by name; in a subfolder, ``folder/name``."""
    folder = Path(str(importlib.resources.files("harness.configs")))
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*.yaml"))
    }


def find_study(name: str | Path) -> Path:
    """Return the path of a study, given a file or the name of a built-in study.

    Raises:
        UserError: it is neither. A missing file that ends in .yaml is reported when it is read.
    """
    path = Path(name)
    if is_user_file(path) or path.suffix == ".yaml":
        return path
    studies = builtin_studies()
    if path.as_posix() not in studies:
        raise UserError(f"no file and no built-in study {str(name)!r}{nearest(str(name), studies)}")
    return studies[path.as_posix()]
