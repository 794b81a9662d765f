"""Parameters of sbatch, as a user writes them."""

from __future__ import annotations

import re
import shutil
from typing import Any

from harness.errors import UserError

NUMBERS = {"nodes", "cpus_per_task", "array_parallelism", "signal_delay_s", "gpus_per_node"}
OURS = {
    "array",
    "job_name",
    "dependency",
    "setup",
    "teardown",
    "srun_args",
    "use_srun",
    "additional_parameters",
}
Parameters = dict[str, Any]


def parsed(asked: str) -> Parameters:
    """Return sbatch parameters as submitit takes them; those that it has no name for are passed on.

    Raises:
        UserError: submitit or SLURM is missing, or the text is not ``name=value,...``.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError(
            "--launcher slurm: submitit is missing; pip install 'defuse-bench[slurm]'"
        ) from error
    if shutil.which("sbatch") is None:
        raise UserError(
            "--launcher slurm: there is no sbatch here; run it on a login node of the cluster"
        )
    found: dict[str, str] = {}
    for part in filter(None, re.split(r",(?=[A-Za-z_-]+=)", asked)):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise UserError(f"--slurm: {part!r} is not name=value")
        found[name.strip().replace("-", "_")] = value.strip()
    if ours := OURS & set(found):
        raise UserError(f"--slurm: {min(ours)!r} is set by the launcher")
    return _typed(found, submitit.SlurmExecutor._valid_parameters())


def _typed(found: dict[str, str], known: set[str]) -> Parameters:
    """Return the parameters with their types; sbatch itself judges those that submitit does not know."""
    parameters: Parameters = {name: x for name, x in found.items() if name in known}
    if others := {name.replace("_", "-"): x for name, x in found.items() if name not in known}:
        parameters["additional_parameters"] = others
    for name in NUMBERS & set(found):
        if not found[name].isdigit():
            raise UserError(f"--slurm: {name} is a number, not {found[name]!r}")
        parameters[name] = int(found[name])
    if "time" in found:
        parameters["time"] = _minutes(found["time"])
    if "cpus_per_task" in found:
        parameters["srun_args"] = [
            f"--cpus-per-task={found['cpus_per_task']}"
        ]  # srun does not inherit it
    return parameters


def _minutes(text: str) -> int:
    """Return a time as sbatch takes it (``m``, ``m:s``, ``h:m:s``, ``d-h:m:s``) in minutes."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if len(parts) > 3 or not all(part.isdigit() for part in (*parts, days or "0")):
        raise UserError(f"--slurm: time is minutes, h:mm:ss or d-hh:mm:ss, not {text!r}")
    numbers = [int(part) for part in parts]
    if not dash and len(numbers) < 3:
        numbers.insert(0, 0)
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return max(1, 1440 * int(days or 0) + 60 * hours + minutes + (seconds > 0))
