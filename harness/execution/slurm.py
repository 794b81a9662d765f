"""The SLURM launcher: array jobs through submitit, each of which runs a part of the study locally.

The first array trains the clean models that other victims need, one job each; the second the other
victims; the third runs the cells, one job per victim. Each starts when those before it have ended.
The store is the only state: a job that was killed, preempted or requeued resumes from it, and a
second submission contains what is still missing. A job of cells whose victim was never trained
trains it.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from harness.errors import UserError
from harness.execution.code_snapshot import snapshot_code
from harness.execution.options import Options
from harness.execution.sbatch_options import (
    Parameters,
    parse_options,
)
from harness.execution.selection import Stage
from harness.execution.slurm_queue import job_name, queued_jobs, slurm_folder
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell
from harness.plan.study import Study
from harness.store.record import now
from harness.store.store import Store

ARRAY_SIZE = 1000
"""The most jobs of an array: what clusters allow by default."""


RunStudy = Callable[[Study, Store, Options, Console], object]


class Submission(NamedTuple):
    """What was submitted to the queue."""

    victims: int
    cells: int
    arrays: list[str]
    """Job numbers of the arrays."""


class StudyJob:
    """A SLURM job that runs a part of a study; it resumes from the store when requeued."""

    def __init__(self, run: RunStudy, study: Study, store: Path, options: Options) -> None:
        self.run = run
        self.study = study
        self.store = store
        self.options = options

    def __call__(self) -> None:
        """Run what is open in this part of the study."""
        self.run(self.study, Store(self.store), self.options, Console())

    def checkpoint(self) -> Any:
        """Return what is submitted again at the time limit or after a preemption: the same job."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def submit(run: RunStudy, study: Study, store: Store, options: Options, sbatch: str) -> Submission:
    """Submit everything that is open, with the code as it is now.

    Args:
        run: runs a part of the study in a job.
        study: the study.
        store: on a disk that all nodes share.
        options: of the local run that each job is.
        sbatch: parameters of sbatch, as ``name=value,name=value``.

    Raises:
        UserError: submitit or SLURM is missing, a parameter is unknown, or jobs of the study are
            queued.
    """
    parameters = parse_options(sbatch)
    if queued := sum(queued_jobs(study, store).values()):
        raise UserError(
            f"{queued} jobs of this study are in the queue "
            f"(squeue --name {job_name(study, store)}); "
            "wait for them or cancel them, then run again for what is missing"
        )
    latest = store.latest()
    selection = replace(options.selection, since=now())
    open_cells = options.selection.open_cells(study, latest)
    probes = options.selection.open_probes(study, open_cells, latest)
    open_cells = _with_probed(open_cells, probes, study)
    if not open_cells:
        return Submission(0, 0, [])
    folder = slurm_folder(store)
    by_victim = _by_victim(open_cells)
    frozen, code = snapshot_code(
        replace(study, cells=[cell for cells in by_victim.values() for cell in cells]), folder
    )
    submitter = _ArraySubmitter(
        folder / "jobs", {**parameters, "job_name": job_name(study, store)}, code
    )

    def untrained(parts: dict[str, Study]) -> dict[str, Study]:
        return {
            key: part
            for key, part in parts.items()
            if options.selection.selects_victim(key, latest, store.has_artifacts)
        }

    cells = {
        key: replace(frozen, cells=of_victim) for key, of_victim in _by_victim(frozen.cells).items()
    }
    clean = untrained(_by_clean_model(frozen))
    victims = {key: part for key, part in untrained(cells).items() if key not in clean}
    stages: list[tuple[Stage, dict[str, Study]]] = [
        ("clean models", clean),
        ("victims", victims),
        ("cells", cells),
    ]
    arrays: list[str] = []
    for stage, parts in stages:
        of_stage = options._replace(selection=replace(selection, last_stage=stage))
        jobs = [StudyJob(run, part, store.folder.resolve(), of_stage) for part in parts.values()]
        arrays += submitter.submit(jobs, after=arrays)
    return Submission(len(clean) + len(victims), len(frozen.cells), arrays)


def _with_probed(open_cells: list[Cell], probes: Iterable[ProbeRun], study: Study) -> list[Cell]:
    """Return the open cells and those whose models, or whose victims' controls, are to be probed.

    A job runs the probes of its cells, and no cell that has its record.
    """
    keys = {cell.key for cell in open_cells}
    keys |= {run.cell.key for run in probes if run.cell is not None}
    covered = {cell.victim.key for cell in study.cells if cell.key in keys}
    controlled = {run.victim.key for run in probes if run.cell is None} - covered
    return [x for x in study.cells if x.key in keys or (x.victim.key in controlled and not x.skip)]


def _by_victim(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    by_victim: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_victim[cell.victim.key].append(cell)
    return by_victim


def _by_clean_model(study: Study) -> dict[str, Study]:
    """Return, for every clean model that a victim needs, a part of the study that needs it."""
    parts: dict[str, Study] = {}
    for cell in study.cells:
        for clean in (cell.victim.clean, study.clean.get(cell.victim.key)):
            if clean is not None:
                parts.setdefault(clean.key, replace(study, cells=[cell]))
    return parts


class _ArraySubmitter:
    """Submits job arrays with one set of parameters."""

    def __init__(self, folder: Path, parameters: Parameters, code: Path) -> None:
        setup = [f"cd {shlex.quote(str(code))}", f"export PYTHONPATH={shlex.quote(str(code))}"]
        self.folder = folder
        self.parameters = {**parameters, "setup": setup}

    def submit(self, jobs: list[StudyJob], after: list[str]) -> list[str]:
        """Submit jobs as arrays that start when the arrays ``after`` end; return their numbers."""
        import submitit

        numbers = []
        for start in range(0, len(jobs), ARRAY_SIZE):
            executor = submitit.SlurmExecutor(self.folder)
            depends = {"dependency": f"afterany:{':'.join(after)}"} if after else {}
            executor.update_parameters(**self.parameters, **depends)
            try:
                with executor.batch():
                    submitted = [executor.submit(job) for job in jobs[start : start + ARRAY_SIZE]]
            except submitit.core.utils.FailedJobError as error:
                raise UserError(f"sbatch: {' '.join(str(error).split())}") from error
            numbers.append(submitted[0].job_id.partition("_")[0])
        return numbers
