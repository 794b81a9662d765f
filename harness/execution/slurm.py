"""The SLURM launcher: array jobs through submitit, each of which runs a part of a study as a local run.

Clean models that other victims need are a first array, one job each; the other victims a second
one, and cells, packed by victim, a third; each depends on those before it. The store
is the only state, so that a job which is killed, preempted or requeued goes on where it was, and a
second submission contains what is still missing. A job of cells whose victim was never trained
trains it.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.execution.code_snapshot import take
from harness.execution.run import Options
from harness.execution.sbatch import Parameters, parsed
from harness.execution.schedule import Selection, Stage, now
from harness.plan.spec import Cell, Study
from harness.store.record_files import LatestRecords
from harness.store.store import Store

ARRAY = 1000
"""Jobs per array: what clusters allow by default."""


class Submission(NamedTuple):
    """What was handed to the queue."""

    victims: int
    cells: int
    arrays: list[str]
    """Job numbers."""


class StudyJob:
    """A job: a part of a study, run where it lands. Requeued, it goes on where it was."""

    def __init__(self, study: Study, store: Path, options: Options) -> None:
        self.study = study
        self.store = store
        self.options = options

    def __call__(self) -> None:
        """Run what is open of the part."""
        from rich.console import Console

        from harness.execution.run import run_study

        run_study(self.study, Store(self.store), self.options, Console())

    def checkpoint(self) -> Any:
        """Return what is submitted again when the time is up or the job is preempted: the same."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def submit(study: Study, store: Store, options: Options, asked: str) -> Submission:
    """Hand everything that is open to the queue, with the code as it is now.

    Args:
        study: the plan.
        store: on a disk that all nodes share.
        options: of the local run that each job is.
        asked: parameters of sbatch, as ``name=value,name=value``.

    Raises:
        UserError: submitit or SLURM is missing, a parameter is unknown, or jobs of the study are
            queued.
    """
    parameters = parsed(asked)
    if waiting := sum(queue(study, store).values()):
        raise UserError(
            f"{waiting} jobs of this study are in the queue (squeue --name {job_name(study, store)}); "
            "wait for them or cancel them, then run again for what is missing"
        )
    latest = store.latest()
    wish = replace(options.wish, since=now())
    open_cells = _open(study, latest, options.wish)
    if not open_cells:
        return Submission(0, 0, [])
    folder = _folder(store)
    frozen, code = take(
        replace(study, cells=[x for cells in open_cells.values() for x in cells]), folder
    )
    queueing = _ArraySubmitter(
        folder / "jobs", {**parameters, "job_name": job_name(study, store)}, code
    )

    def missing(parts: dict[str, Study]) -> dict[str, Study]:
        return {
            key: part for key, part in parts.items() if _untrained(key, latest, options.wish, store)
        }

    by_victim, clean = _by_victim(frozen), missing(_by_clean_model(frozen))
    victims = {key: part for key, part in missing(by_victim).items() if key not in clean}
    stages: list[tuple[Stage, dict[str, Study]]] = [
        ("clean models", clean),
        ("victims", victims),
        ("cells", by_victim),
    ]
    sent: list[str] = []
    for stage, parts in stages:
        how = options._replace(wish=replace(wish, up_to=stage))
        sent += queueing.arrays(
            [StudyJob(part, store.folder.resolve(), how) for part in parts.values()], sent
        )
    return Submission(len(clean) + len(victims), len(frozen.cells), sent)


def _open(study: Study, latest: LatestRecords, wish: Selection) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in study.cells:
        if cell.skip is None and wish.wants(cell.key, latest):
            found[cell.victim.key].append(cell)
    return found


def _by_victim(study: Study) -> dict[str, Study]:
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in study.cells:
        cells[cell.victim.key].append(cell)
    return {key: replace(study, cells=found) for key, found in cells.items()}


def _by_clean_model(study: Study) -> dict[str, Study]:
    """Return, for every clean model that a victim needs, a part of the study that leads to it."""
    parts: dict[str, Study] = {}
    for cell in study.cells:
        for clean in (cell.victim.clean, study.clean.get(cell.victim.key)):
            if clean is not None:
                parts.setdefault(clean.key, replace(study, cells=[cell]))
    return parts


def _untrained(key: str, latest: LatestRecords, wish: Selection, store: Store) -> bool:
    if wish.wants(key, latest):
        return True
    return latest.status(key) == "ok" and not store.holds(latest[key])


class _ArraySubmitter:
    """Submits arrays with one set of parameters."""

    def __init__(self, folder: Path, parameters: Parameters, code: Path) -> None:
        setup = [f"cd {shlex.quote(str(code))}", f"export PYTHONPATH={shlex.quote(str(code))}"]
        self.folder = folder
        self.parameters = {**parameters, "setup": setup}

    def arrays(self, parts: list[StudyJob], after: list[str]) -> list[str]:
        """Submit parts as arrays that start when the jobs ``after`` have ended; return their numbers."""
        import submitit

        numbers = []
        for start in range(0, len(parts), ARRAY):
            executor = submitit.SlurmExecutor(self.folder)
            depends = {"dependency": f"afterany:{':'.join(after)}"} if after else {}
            executor.update_parameters(**self.parameters, **depends)
            try:
                with executor.batch():
                    jobs = [executor.submit(part) for part in parts[start : start + ARRAY]]
            except submitit.core.utils.FailedJobError as error:
                raise UserError(f"sbatch: {' '.join(str(error).split())}") from error
            numbers.append(jobs[0].job_id.partition("_")[0])
        return numbers


def job_name(study: Study, store: Store) -> str:
    """Return the name of all jobs of a study on a store."""
    place = hashlib.sha256(f"{store.folder.resolve()}".encode()).hexdigest()[:6]
    return f"defuse-{re.sub(r'[^A-Za-z0-9_.-]', '_', study.name)}-{place}"


def queue(study: Study, store: Store) -> Counter[str]:
    """Return the study's jobs in the queue by state; nothing when none was ever submitted.

    Raises:
        UserError: SLURM does not answer.
    """
    if not _folder(store).is_dir() or shutil.which("squeue") is None:
        return Counter()
    command = ["squeue", "--noheader", "--array", "--format=%T", f"--name={job_name(study, store)}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise UserError(f"squeue: {asked.stderr.strip() or 'no answer'}")
    return Counter(state.lower() for state in asked.stdout.split())


def _folder(store: Store) -> Path:
    """Return where snapshots, job files and job logs go."""
    return store.folder.resolve() / "slurm"
