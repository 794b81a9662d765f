"""A study of 3 victims and 18 cells, and records of it in which each defense takes its time."""

from __future__ import annotations

from pathlib import Path

import yaml

from harness.plan.study import Study
from harness.store.record import Environment, Record, Run
from harness.store.record_files import LatestRecords
from harness.study.load import load_study
from tests.helpers import records

SECONDS = {"none": 1.0, "ft": 20.0, "fp": 5.0}
"""How long a cell takes, by its defense."""
VICTIM_SECONDS = 30.0
GPU = Environment(device="cuda", hardware="a GPU", threads=1, torch="2.9", python="3.11")


def load(folder: Path) -> Study:
    path = folder / "study.yaml"
    content = {
        "data": ["digits"],
        "models": [{"preactresnet18": {"width": 4}}],
        "recipe": "fast",
        "attacks": ["badnets"],
        "defenses": list(SECONDS),
        "budgets": [{"spc": 2}, {"spc": 10}],
        "seeds": [0, 1, 2],
    }
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


def finished(planned, seconds: float = 1.0, environment: Environment = GPU) -> Record:
    """Return the ok record of a victim or cell, as of a GPU with a peak of 1000 MiB."""
    run = Run(seconds, environment)
    if hasattr(planned, "defense"):
        return records.ok(planned, run=run, peak_mem_mb=1000.0)
    return records.ok(planned, run=run)


def records_of_seed(study: Study, seed: int, environment: Environment = GPU) -> list[Record]:
    """Return the records of a seed's victim and cells."""
    cells = [cell for cell in study.cells if cell.seed == seed]
    victim = finished(cells[0].victim, VICTIM_SECONDS, environment)
    return [victim, *(finished(cell, SECONDS[cell.defense.name], environment) for cell in cells)]


def latest_of(*newest: Record) -> LatestRecords:
    """Return the records as those of a store."""
    latest = LatestRecords()
    for record in newest:
        latest.add(record)
    return latest
