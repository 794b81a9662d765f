"""A study whose defenses fail in every way, and a way to disturb its run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import yaml
from msgspec import to_builtins

from harness.store.record import CellRecord
from harness.store.record_files import read_lines
from harness.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
MARK = "LC_DEFUSE_TEST_MARK"
HEAD = '"""{name}, for tests."""\nfrom harness.contract import defense\n{imports}\n'
DECORATED = '@defense(paper="", year=0, family="control")\ndef {name}(model, budget, hyper, ctx):\n'
BAD = {
    "segfault": ("import ctypes", "ctypes.string_at(0)"),
    "suicide": ("import os", "os.kill(os.getpid(), 9)"),
    "leaver": ("import os", "os._exit(0)"),
    "hang": (
        "import subprocess, time",
        "print('\\33[31masleep\\33[0m'); subprocess.Popen(['sleep', '987654']); time.sleep(1e6)",
    ),
    "raises": ("", "raise ConnectionError('as planned')"),
    "greedy": (
        "import resource, torch",
        "resource.setrlimit(resource.RLIMIT_AS, (48 << 30, -1)); "
        "torch.empty(1 << 40, dtype=torch.uint8)",
    ),
    "nan": ("", "next(model.parameters()).data.fill_(float('nan'))"),
}
"""By name: what the defense imports, and what it does before it returns the model."""
EXPECTED = {
    **{"segfault": "crash", "suicide": "crash", "leaver": "crash", "hang": "timeout"},
    **{"raises": "error", "greedy": "oom", "nan": "error", "none": "ok", "ft": "ok"},
}


def study(folder: Path, bad=tuple(BAD), seeds=(0,), timeout=None) -> Path:
    """Write the bad defenses and a study of them and two good ones; return its path."""
    for name in bad:
        imports, body = BAD[name]
        head = HEAD.format(name=name, imports=imports) + DECORATED.format(name=name)
        (folder / f"{name}.py").write_text(f"{head}    {body}\n    return model\n")
    content = {
        "data": ["digits"],
        "models": [{"preactresnet18": {"width": 4}}],
        "recipe": {"fast": {"epochs": 1}},
        "attacks": ["badnets"],
        "defenses": ["none", *(f"{name}.py" for name in bad), {"ft": {"epochs": 2}}],
        "budgets": [{"spc": 2}],
        "seeds": list(seeds),
        "gate": {"acc": 0.0, "run": "all"},
        **({} if timeout is None else {"timeout": timeout}),
    }
    path = folder / "failing.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def command(*arguments: object) -> list[str]:
    """Return a command line of defuse."""
    return [sys.executable, "-m", "harness", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a defuse process; ``more`` may mark it, to find its children by."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def run(path: Path, out: Path, *more: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a study to its end, on two CPU workers."""
    arguments = command("run", path, "--out", out, "--device", "cpu", "--workers", 2, *more)
    return subprocess.run(
        arguments, env=environment(**env), capture_output=True, text=True, check=False, timeout=600
    )


def undisturbed(folder: Path) -> tuple[dict[str, dict], float]:
    """Run the good cells alone; return their results, and more seconds than any cell takes."""
    start = time.monotonic()
    ended = run(study(folder, bad=()), folder / "out")
    assert ended.returncode == 0, ended.stderr
    return results(folder / "out"), max(5.0, time.monotonic() - start)


def disturbed(path: Path, out: Path, seed: int, kills: int, longest: float = 12) -> Counter[str]:
    """Run a study whose supervisor is killed within ``longest`` seconds; count final statuses."""
    chance, mark = random.Random(seed), uuid.uuid4().hex
    for _ in range(kills):
        process = subprocess.Popen(
            command("run", path, "--out", out, "--device", "cpu", "--workers", 2),
            env=environment(**{MARK: mark}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(1, longest))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    ended = run(path, out, **{MARK: mark})
    assert ended.returncode == 1, ended.stderr  # some cells failed
    return checked(out, mark)


def checked(out: Path, mark: str) -> Counter[str]:
    """Check what must be true of a store after any accident; count its cells by status."""
    store = Store(out / "store")
    files = store.record_files()
    assert all(path.read_bytes().endswith(b"\n") for path in files if path.stat().st_size)
    lines = [line for path in files for line in read_lines(path)]
    assert {line.key: n for line, n in Counter(lines).items() if n > 1} == {}
    repeated = {key: n for key, n in Counter(line.key for line in lines).items() if n > 1}
    assert repeated == {}, "a key has several records"
    for path in store.artifacts_folder.glob("*/[!.]*"):
        store.get(path.name)  # its content is what its name says
    assert alive(mark) == []
    return Counter(line.status for line in lines if line.kind == "cell")


def alive(mark: str) -> list[str]:
    """Return the processes with the mark, except for those that are ending."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def results(out: Path) -> dict[str, dict]:
    """Return the results of all ok records by name, without measured times and memory."""
    latest = Store(out / "store").latest()
    clocks = {"seconds", "peak_mem_mb"}
    return {
        record.name: {
            name: x for name, x in to_builtins(record.result).items() if name not in clocks
        }
        for record in latest.values()
        if not record.status.failed
    }


def statuses(out: Path) -> dict[str, str]:
    """Return the status of every cell by its defense."""
    latest = Store(out / "store").latest().values()
    return {x.spec.defense.name: x.status for x in latest if isinstance(x, CellRecord)}
