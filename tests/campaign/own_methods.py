"""Own defenses that fail in every way: a record says why, or the study is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness.errors import UserError
from harness.store.record import CellRecord
from harness.store.store import store_of
from tests.campaign.outcome import Case
from tests.helpers import tiny_study

ROOT = Path(__file__).resolve().parents[2]
HEAD = (
    '"""For tests."""\nimport ctypes, os, sys, time\nimport torch\n'
    "from harness.contract import Defended, defense\n{before}\n"
    '@defense(paper="", year=0, family="control")\ndef own({signature}):\n    {body}\n'
)
SIGNATURE = "model, budget, hyper, ctx"
AT_IMPORT = {
    "raises at import": "raise RuntimeError('no')",
    "leaves at import": "sys.exit(0)",
    "ends its process at import": "os._exit(0)",
    "never ends at import": "while True: pass",
    "sleeps at import": "time.sleep(1e6)",
    "has a wrong name at import": "import torhc",
    "is no Python": "def (",
    "has a NUL": "x = '\0'",
}
SIGNATURES = {
    "takes too little": "model",
    "takes too much": "model, budget, hyper, ctx, more",
    "takes keywords alone": "*, model, budget, hyper, ctx",
}
BODIES = {
    "returns nothing": "return None",
    "returns a number": "return 5",
    "returns a class": "return type(model)",
    "returns a network of other classes": "return torch.nn.Sequential(torch.nn.Flatten(), "
    "torch.nn.Linear(192, 3))",
    "returns a network that raises": "return torch.nn.Linear(3, 3)",
    "returns NaN": "next(model.parameters()).data.fill_(float('nan')); return model",
    "raises": "raise ConnectionError('as planned')",
    "raises a text of 50 MB": "raise ValueError('x' * 50_000_000)",
    "raises half a character": "raise ValueError('\\ud800')",
    "raises what cannot be printed": "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})",
    "leaves": "sys.exit(0)",
    "raises SystemExit of a text": "raise SystemExit('bye')",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "ends its process": "os._exit(0)",
    "kills itself": "os.kill(os.getpid(), 9)",
    "reads at address 0": "ctypes.string_at(0)",
    "hangs": "time.sleep(1e6)",
    "hangs in C": "ctypes.CDLL(None).sleep(1000000)",
    "asks for all memory": "torch.empty(1 << 50, dtype=torch.uint8); return model",
    "recurses": "f = lambda: f(); f()",
}
HARMLESS = {
    "notes that are no JSON": "return Defended(model, notes={'x': float('nan'), 'y': model})",
    "prints 10 MB": "print('x' * 10_000_000); return model",
    "closes its output": "os.close(1); os.close(2); return model",
    "changes the directory": "os.chdir('/'); return model",
    "turns gradients off": "torch.set_grad_enabled(False); return model",
    "starts threads": "import threading; threading.Thread(target=time.sleep, args=(1e6,), "
    "daemon=True).start(); return model",
}
TIMEOUT = 5


def prepared(folder: Path) -> Path:
    """Train the victim once; the cases copy its store."""
    tiny_study.run(tiny_study.write_study(folder, defenses=["none"]), folder / "out")
    return folder / "out"


def cases(out: Path) -> Iterator[Case]:
    """Yield the cases; ``out`` holds the trained victim. Each starts a run of its own."""
    calls = 6  # starts, imports torch in two processes, loads the victim, and may wait for TIMEOUT
    for what, before in AT_IMPORT.items():
        text = HEAD.format(before=before, signature=SIGNATURE, body="return model")
        yield Case(f"own method: {what}", partial(_attempt, out, text), calls=calls)
    for what, signature in SIGNATURES.items():
        text = HEAD.format(before="", signature=signature, body="return model")
        yield Case(f"own method: {what}", partial(_attempt, out, text), calls=calls)
    for what, body in BODIES.items():
        text = HEAD.format(before="", signature=SIGNATURE, body=body)
        yield Case(f"own method: {what}", partial(_attempt, out, text), calls=calls)
    for what, body in HARMLESS.items():
        text = HEAD.format(before="", signature=SIGNATURE, body=body)
        yield Case(f"own method: {what}", partial(_attempt, out, text), True, calls)


def _attempt(out: Path, text: str, folder: Path) -> None:
    """Run a study of a defense.

    Raises:
        UserError: its study is refused, or its cell is a failure; with the message.
        RuntimeError: the command gave a traceback, or no record.
    """
    import shutil

    shutil.copytree(out, folder / "out")
    (folder / "own.py").write_text(text)
    study = tiny_study.write_study(folder, defenses=["own.py"], timeout=TIMEOUT)
    words = ["run", study, "--out", folder / "out", "--device", "cpu", "--workers", 1]
    ended = subprocess.run(
        [sys.executable, "-m", "harness", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if "Traceback" in ended.stderr or ended.returncode not in {0, 1, 2}:
        raise RuntimeError(f"exit code {ended.returncode}: {ended.stderr[-2000:]}")
    if ended.returncode == 2:
        raise UserError(ended.stderr.strip())
    records = [x for x in store_of(folder / "out").records() if isinstance(x, CellRecord)]
    own = [x for x in records if " / own" in x.name]
    if not own:
        raise RuntimeError(f"no record: {ended.stdout[-500:]}{ended.stderr[-1500:]}")
    if own[-1].status.failed:
        raise UserError(f"{own[-1].status}: {own[-1].error[:300]}")
