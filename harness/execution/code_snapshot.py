"""Copies the code and a study's own method files, so that a queued job runs what was submitted."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.plan.own_imports import own_imports
from harness.plan.registry import program_files
from harness.plan.spec import MethodSpec, Victim
from harness.plan.study import Study


def snapshot_code(study: Study, folder: Path) -> tuple[Study, Path]:
    """Return the study with its own files copied, and the folder to import the packages from.

    The copies are below ``folder``, in one subfolder per version of the code.
    """
    return _with_own_files(study, folder), _copy_files(program_files(), folder)


def _copy_files(files: dict[Path, Path], folder: Path) -> Path:
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


def _with_own_files(study: Study, folder: Path) -> Study:
    """Return the study with copies of the user's own method files and of their input files."""

    @cache
    def frozen_method(method: MethodSpec[Any]) -> MethodSpec[Any]:
        return _with_own_file(method, folder)

    @cache
    def frozen_victim(victim: Victim) -> Victim:
        clean = None if victim.clean is None else frozen_victim(victim.clean)
        model, attack = frozen_method(victim.model), frozen_method(victim.attack)
        return replace(victim, model=model, attack=attack, clean=clean)

    cells = [
        replace(
            cell,
            victim=frozen_victim(cell.victim),
            defense=frozen_method(cell.defense),
            triggers=tuple(map(frozen_victim, cell.triggers)),
        )
        for cell in study.cells
    ]
    clean = {key: frozen_victim(victim) for key, victim in study.clean.items()}
    probes = tuple(map(frozen_method, study.probes))
    return replace(study, cells=cells, clean=clean, probes=probes)


def _with_own_file(method: MethodSpec[Any], folder: Path) -> MethodSpec[Any]:
    identity = method.identity[
        "hyper"
    ]  # has a digest where ``hyper`` has the path of an input file
    copies = {
        name: str(_copy_file(Path(value), folder))
        for name, value in method.hyper.items()
        if isinstance(value, str) and identity.get(name, value) != value
    }
    ref = _copy_method(Path(method.ref), folder) if method.ref.endswith(".py") else method.ref
    return replace(method, ref=ref, hyper={**method.hyper, **copies})


def _copy_method(path: Path, folder: Path) -> str:
    """Copy a method file and what it imports from its folder; return the path of its copy."""
    files = {Path(file.name): file for file in (path, *own_imports(path))}
    return str(_copy_files(files, folder) / path.name)


def _copy_file(path: Path, folder: Path) -> Path:
    return _copy_files({Path(path.name): path}, folder) / path.name
