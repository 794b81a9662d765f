"""Copies the code and a study's own method files, so that a queued job runs what was submitted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.execution.file_copies import copy_files, with_own_file
from harness.plan.registry import program_files
from harness.plan.spec import MethodSpec, Victim
from harness.plan.study import Study


def snapshot_code(study: Study, folder: Path) -> tuple[Study, Path]:
    """Return the study with its own files copied, and the folder to import the packages from.

    The copies are below ``folder``, in one subfolder per version of the code.
    """
    return _with_own_files(study, folder), copy_files(program_files(), folder)


def _with_own_files(study: Study, folder: Path) -> Study:
    """Return the study with copies of the user's own method files and of their input files."""

    @cache
    def frozen_method(method: MethodSpec[Any]) -> MethodSpec[Any]:
        return with_own_file(method, folder)

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
