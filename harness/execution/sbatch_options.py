"""Parses the parameters of sbatch that a user gives on the command line."""

from __future__ import annotations

import re
import shutil
from typing import Any

from harness.errors import UserError

NUMBERS = {"nodes", "cpus_per_task", "array_parallelism", "signal_delay_s", "gpus_per_node"}
SET_BY_LAUNCHER = {
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


def parse_options(text: str) -> Parameters:
    """Return sbatch parameters in submitit's form; those that it does not know are passed on.

    Raises:
        UserError: submitit or SLURM is missing, or the text is not ``name=value,...``.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("--launcher slurm needs a package: pip install submitit") from error
    if shutil.which("sbatch") is None:
        raise UserError(
            "--launcher slurm: no sbatch on this machine; run this on a login node of the cluster"
        )
    given: dict[str, str] = {}
    for option in filter(None, re.split(r",(?=[A-Za-z_-]+=)", text)):
        name, equals, value = option.partition("=")
        if not equals or not value:
            raise UserError(f"--slurm: {option!r} is not name=value")
        given[name.strip().replace("-", "_")] = value.strip()
    if reserved := SET_BY_LAUNCHER & set(given):
        raise UserError(f"--slurm: {min(reserved)!r} is set by the launcher")
    return _with_types(given, submitit.SlurmExecutor._valid_parameters())


def _with_types(given: dict[str, str], known: set[str]) -> Parameters:
    """Return the parameters with their types; those unknown to submitit are left to sbatch."""
    parameters: Parameters = {name: x for name, x in given.items() if name in known}
    if others := {name.replace("_", "-"): x for name, x in given.items() if name not in known}:
        parameters["additional_parameters"] = others
    for name in NUMBERS & set(given):
        if not given[name].isdigit():
            raise UserError(f"--slurm: {name} is a number, not {given[name]!r}")
        parameters[name] = int(given[name])
    if "time" in given:
        parameters["time"] = _minutes(given["time"])
    if "cpus_per_task" in given:
        # srun does not inherit it from sbatch
        parameters["srun_args"] = [f"--cpus-per-task={given['cpus_per_task']}"]
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
