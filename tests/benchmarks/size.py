"""Time and peak memory of plan, status, report and compact with 10k, 40k and 122k simulated cells.

Run by hand: ``python -m tests.benchmarks.size [FOLDER]``; prints a table as markdown. No cell is
run: records are written as a run would write them, with 50 steps of scalars each.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import yaml

from harness.data.cache import default_cache
from harness.plan.spec import Cell, Victim
from harness.store.record import CellRecord, Failure, Run, Status, TaskRecord
from harness.store.record_files import to_line
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import records

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 17
SEEDS = {10_200: 3, 40_800: 12, 122_400: 36}  # 8 victims a seed, 425 cells a victim
PLAN = (
    "import sys; from pathlib import Path; from harness.data.cache import default_cache; "
    "from harness.study.load import load_study; "
    "plan = load_study(Path(sys.argv[1]), None, default_cache()); "
    "assert len({cell.key for cell in plan.cells}) == len(plan.cells) == int(sys.argv[2])"
)
COMMAND = "from harness.cli.main import main; main()"


def study_file(folder: Path, seeds: int) -> Path:
    """Write a study of ``seeds * 8 * 425`` cells."""
    learning_rates = [round(0.001 * (i + 1), 3) for i in range(24)]
    content = {
        "data": ["digits"],
        "models": [{"preactresnet18": {"width": 8}}],
        "recipe": "fast",
        "attacks": ["badnets", "blended"],
        "rates": [0.01, 0.02, 0.05, 0.1],
        "defenses": ["none", *({"ft": {"lr": lr}} for lr in learning_rates)],
        "budgets": [{"spc": n + 1} for n in range(LARGEST)],
        "seeds": list(range(seeds)),
        "skip": [{"reason": "an example", "defense": "ft (lr=0.024)", "spc": 17, "seed": 0}],
    }
    path = folder / f"study{seeds}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def write_records(study: Path, out: Path) -> None:
    """Write a record for every victim and cell, into eight files, one of a hundred failed."""
    plan = load_study(study, None, default_cache())
    chance = random.Random(0)
    folder = out / "store" / "records"
    folder.mkdir(parents=True)
    files = [(folder / f"simulated-{i}.jsonl").open("wb") for i in range(8)]
    store, truth = (
        Store(out / "store"),
        {f"truth_{name}": labels(chance) for name in ("triggered", "wanted")},
    )
    for victim in plan.victims().values():
        kept = store.put({**predictions(chance), **truth}, compress=True)
        files[0].write(to_line(_record(victim, chance, kept)).encoded() + b"\n")
    for cell in plan.cells:
        if cell.skip is None:
            kept = "0" * 32 + ".safetensors.gz"  # a file that is never read, and left out
            if cell.budget.spc == LARGEST:
                kept = store.put(predictions(chance), compress=True)
            chance.choice(files).write(to_line(_record(cell, chance, kept)).encoded() + b"\n")
    for file in files:
        file.close()


def labels(chance):
    """Return classes of as many images as the digits have in their test set."""
    return np.array(chance.choices(range(10), k=360), dtype=np.uint16)


def predictions(chance):
    return {name: labels(chance) for name in ("clean", "triggered")}


def _record(planned: Victim | Cell, chance: random.Random, predictions: str) -> TaskRecord:
    """Return a record with an artifact; one cell of a hundred has failed."""
    scalars = [
        {"step": float(i), "loss": chance.random(), "acc": chance.random()} for i in range(50)
    ]
    run = Run(chance.random(), records.ENVIRONMENT, scalars)
    if isinstance(planned, Cell) and chance.random() < 0.01:
        failure = Failure(Status.ERROR, "RuntimeError: it broke", "line\n" * 20)
        return CellRecord.failed(planned, failure, run)
    record = records.ok(planned, run=run, **{x: chance.random() for x in ("acc", "asr", "ra")})
    artifacts = msgspec.structs.replace(record.result.artifacts, predictions=predictions)
    result = msgspec.structs.replace(record.result, artifacts=artifacts)
    return msgspec.structs.replace(record, result=result)


def measured(code: str, *arguments: object) -> tuple[float, float, float]:
    """Run Python code in a separate process; return seconds, CPU seconds and peak memory in MB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code, *map(str, arguments)],
        environment,
        file_actions=quiet,
    )
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 1}:  # 1: some cells failed
        raise SystemExit(f"{arguments} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure every size and print the table."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        rows = []
        for cells, seeds in SEEDS.items():
            folder = Path(name)
            study, out = study_file(folder, seeds), folder / f"out{seeds}"
            times = {"plan": measured(PLAN, study, cells)}
            write_records(study, out)
            for command in ("status", "report", "compact", "status packed", "report packed"):
                times[command] = measured(COMMAND, command.split()[0], study, "--out", out)
            rows.append((cells, times))
            sys.stdout.write(json.dumps({cells: times}) + "\n")
    columns = list(rows[0][1])
    sys.stdout.write(
        "| cells | " + " | ".join(columns) + " |\n|" + "--|" * (len(columns) + 1) + "\n"
    )
    for cells, times in rows:
        shown = (
            f"{wall:.1f} s ({cpu:.1f}), {memory:.0f} MB" for wall, cpu, memory in times.values()
        )
        sys.stdout.write(f"| {cells} | " + " | ".join(shown) + " |\n")


if __name__ == "__main__":
    main()
