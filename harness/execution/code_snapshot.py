"""A copy of the code and of a study's own method files, so that what runs later is what was submitted."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from pathlib import Path

from harness.plan.registry import program_files
from harness.plan.spec import MethodSpec, Study, Victim


def take(study: Study, folder: Path) -> tuple[Study, Path]:
    """Return the study with its own files copied, and the folder to import the packages from.

    The copies lie below ``folder``, one per state of the code; a checkout may change under a run.
    """
    return _with_own_files(study, folder), _copied(program_files(), folder)


def _copied(files: dict[Path, Path], folder: Path) -> Path:
    """Copy files below a folder named by their contents, unless it is there; return it."""
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
        _publish(part, target)
    return target


def _publish(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():  # else: another process was first, with the same files
            raise


def _with_own_files(study: Study, folder: Path) -> Study:
    """Return the study with the user's own method files, and the files they name, read from copies."""
    choices: dict[int, MethodSpec] = {}
    victims: dict[int, Victim] = {}

    def frozen(choice: MethodSpec) -> MethodSpec:
        if id(choice) not in choices:
            choices[id(choice)] = _with_own_file(choice, folder)
        return choices[id(choice)]

    def trained(victim: Victim) -> Victim:
        if id(victim) not in victims:
            clean = None if victim.clean is None else trained(victim.clean)
            model, attack = frozen(victim.model), frozen(victim.attack)
            victims[id(victim)] = replace(victim, model=model, attack=attack, clean=clean)
        return victims[id(victim)]

    cells = [
        replace(
            cell,
            victim=trained(cell.victim),
            defense=frozen(cell.defense),
            triggers=tuple(map(trained, cell.triggers)),
        )
        for cell in study.cells
    ]
    return replace(study, cells=cells, clean={key: trained(x) for key, x in study.clean.items()})


def _with_own_file(choice: MethodSpec, folder: Path) -> MethodSpec:
    said = choice.identity[
        "hyper"
    ]  # a file by its digest; what is no part of a key stays where it is
    inputs = {
        name: x for name, x in choice.hyper.items() if isinstance(x, str) and said.get(name, x) != x
    }
    hyper = {**choice.hyper, **{name: str(_copy_of(Path(x), folder)) for name, x in inputs.items()}}
    ref = str(_copy_of(Path(choice.ref), folder)) if choice.ref.endswith(".py") else choice.ref
    return replace(choice, ref=ref, hyper=hyper)


def _copy_of(path: Path, folder: Path) -> Path:
    return _copied({Path(path.name): path}, folder) / path.name
