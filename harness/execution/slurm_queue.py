"""A study's jobs in the queue of a SLURM cluster."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from harness.errors import UserError
from harness.plan.keys import slug
from harness.plan.study import Study
from harness.store.store import Store


def job_name(study: Study, store: Store) -> str:
    """Return the name of all jobs of a study on a store."""
    store_id = hashlib.sha256(f"{store.folder.resolve()}".encode()).hexdigest()[:6]
    return f"defuse-{slug(study.name, keep='._-')}-{store_id}"


def slurm_folder(store: Store) -> Path:
    """Return the folder of code snapshots, job files and job logs."""
    return store.folder.resolve() / "slurm"


def queued_jobs(study: Study, store: Store) -> Counter[str]:
    """Count the study's jobs in the queue by state; none if none was ever submitted.

    Raises:
        UserError: SLURM does not answer.
    """
    if not slurm_folder(store).is_dir() or shutil.which("squeue") is None:
        return Counter()
    command = ["squeue", "--noheader", "--array", "--format=%T", f"--name={job_name(study, store)}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise UserError(f"squeue: {answer.stderr.strip() or 'no answer'}")
    return Counter(state.lower() for state in answer.stdout.split())
