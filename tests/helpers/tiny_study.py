"""A real study that takes seconds: digits, a network of width 2, one epoch."""

from __future__ import annotations

from pathlib import Path

import yaml
from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.plan.study import Study
from harness.store.record import CellRecord, Record, to_json
from harness.store.store import store_of
from harness.study.load import load_study

Records = dict[str, Record]

SMALL = {
    "data": ["digits"],
    "models": [{"preactresnet18": {"width": 2}}],
    "recipe": {"fast": {"epochs": 1}},
    "attacks": ["badnets"],
    "defenses": ["none", {"ft": {"epochs": 2}}],
    "budgets": [{"spc": 2}],
    "seeds": [0],
    "gate": {"acc": 0.0, "run": "all"},
}
VOLATILE = {"finished", "wall_seconds", "environment"}
VOLATILE_RESULT = {"seconds", "peak_mem_mb"}


def write_study(folder: Path, **changes: object) -> Path:
    """Write the small study with some keys replaced, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False), encoding="utf-8")
    return path


def load(path: Path) -> Study:
    """Read a study."""
    return load_study(path)


def run(path: Path, out: Path, *, mode: str = "run", workers: int | None = None) -> Records:
    """Run a study, inline unless workers are given; return the newest record of every key."""
    options = Options(Selection(mode=mode), HardwareRequest("cpu", workers), inline=workers is None)
    run_study(load(path), store_of(out), options, Console(quiet=True))
    return newest(out)


def newest(out: Path) -> Records:
    """Return the newest record of every key, whole."""
    found: Records = {}
    for record in (line.record() for line in store_of(out).lines(damaged=[])):
        if record.key not in found or found[record.key].finished <= record.finished:
            found[record.key] = record
    return found


def numbers(latest: Records) -> dict:
    """Return the records without what may differ between two runs: times, memory, machine."""
    return {key: _without_volatile(to_json(record)) for key, record in latest.items()}


def _without_volatile(record: dict) -> dict:
    result = {k: x for k, x in record.get("result", {}).items() if k not in VOLATILE_RESULT}
    return {k: x for k, x in record.items() if k not in VOLATILE} | {"result": result}


def cell_record(latest: Records, *words: str) -> CellRecord:
    """Return the one cell record whose name holds all words."""
    cells = [record for record in latest.values() if isinstance(record, CellRecord)]
    found = [record for record in cells if all(word in record.name for word in words)]
    assert len(found) == 1, [record.name for record in found]
    return found[0]
