"""Copies files to folders that are named by what is in them, and methods with their files."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plan.own_imports import own_imports
from harness.plan.registry import split_ref

if TYPE_CHECKING:
    from harness.plan.spec import MethodSpec


def copy_files(files: dict[Path, Path], folder: Path) -> Path:
    """Copy files to a subfolder named by their contents, unless it exists; return the subfolder."""
    contents = {name: path.read_bytes() for name, path in files.items()}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(
            hashlib.sha256(name.as_posix().encode()).digest() + hashlib.sha256(content).digest()
        )
    target = folder / digest.hexdigest()[:16]
    if not target.exists():
        part = folder / f".{target.name}.{uuid.uuid4().hex[:8]}"
        for name, content in contents.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(content)
        _move(part, target)
    return target


def _move(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():  # else: another process was first, with the same files
            raise


def with_own_file(method: MethodSpec[Any], folder: Path) -> MethodSpec[Any]:
    """Return a method with copies of its own file and of its input files, below ``folder``."""
    identity = method.identity["hyper"]  # with a digest in place of an input file's path
    copies = {
        name: str(_copy_file(Path(value), folder))
        for name, value in method.hyper.items()
        if isinstance(value, str) and identity.get(name, value) != value
    }
    file, function = split_ref(method.ref)
    ref = method.ref
    if file.endswith(".py"):
        copied = _copy_method(Path(file), folder)
        ref = str(copied) if function is None else f"{copied}:{function}"
    return replace(method, ref=ref, hyper={**method.hyper, **copies})


def _copy_method(path: Path, folder: Path) -> Path:
    """Copy a method file and what it imports from its folder; return the path of its copy."""
    files = {Path(file.name): file for file in (path, *own_imports(path))}
    return copy_files(files, folder) / path.name


def _copy_file(path: Path, folder: Path) -> Path:
    return copy_files({Path(path.name): path}, folder) / path.name
