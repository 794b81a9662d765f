"""Victims and a board of the study of the IMS paper at full width, as far as the time reaches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.store.record import CellRecord, VictimRecord
from harness.store.store import store_of
from harness.study.load import load_study
from tests.gpu.pictures import write_study
from tests.gpu.step import Checks, Outcome, Setting

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "configs" / "ims_paper_cifar10.yaml"
LEAST_ACC, LEAST_ASR = 0.88, 0.8
"""Of a victim of ten epochs."""
REPORT_SECONDS = 20.0
LEAST_GAIN = 2.0
"""Of four workers on a GPU over one, at SPC 2."""
KEPT = (".md", ".csv", ".html", ".json")


def train(setting: Setting) -> Outcome:
    """Train every victim of the study."""
    latest = run_study(
        load_study(_study(setting), _data_root()),
        store_of(setting.out / "board"),
        Options(Selection(last_stage="victims"), _hardware(setting), inline=setting.tiny),
        Console(quiet=setting.tiny, width=120),
    )
    checks = Checks()
    for record in latest.values():
        if isinstance(record, VictimRecord):
            said = record.error or f"{record.ok_result.acc:.3f} {record.ok_result.asr:.3f}"
            checks.add(record.name, said, passed=_is_planted(record, setting))
    return checks.outcome("victims are planted")


def _is_planted(record: VictimRecord, setting: Setting) -> bool:
    if record.status.failed or setting.tiny:
        return not record.status.failed
    result = record.ok_result
    return result.acc >= LEAST_ACC and (record.spec.rate == 0 or result.asr >= LEAST_ASR)


def share(setting: Setting) -> Outcome:
    """Run a short IMS on every victim by one worker and by four, and compare the rates."""
    out, rates = setting.out / "board", {}
    for workers in (1, 4):
        sizes = {"rounds": 1, "inner_steps": 1} if setting.tiny else {"rounds": 60}
        short = {"ims": {"initial_rounds": workers, **sizes}}
        study = load_study(_study(setting, defenses=[short]), _data_root())
        of_cpu = (workers, None, None) if not setting.on_gpu else (None, None, workers)
        options = Options(hardware=HardwareRequest(setting.device, *of_cpu), inline=setting.tiny)
        latest = run_study(study, store_of(out), options, Console(quiet=setting.tiny, width=120))
        ended = sorted(datetime.fromisoformat(latest.finished(cell.key)) for cell in study.cells)
        seconds = (ended[-1] - ended[0]).total_seconds()
        rates[f"cells a minute, {workers} workers"] = 60 * (len(ended) - 1) / max(seconds, 1e-3)
    one, four = rates.values()
    passed = setting.tiny or four >= LEAST_GAIN * one
    said = ", ".join(f"{name}: {rate:.1f}" for name, rate in rates.items())
    return Outcome(passed=passed, said=said, values=rates)


def run(setting: Setting) -> Outcome:
    """Run cells until the time is over, and write the report of what there is."""
    out, study = setting.out / "board", _study(setting)
    planned = load_study(study, _data_root())
    if setting.tiny:
        options = Options(hardware=_hardware(setting), inline=True)
        run_study(planned, store_of(out), options, Console(quiet=True))
    else:
        _run_until(setting.seconds - REPORT_SECONDS, study, out, setting)
        _defuse("report", study, "--out", out).wait()
    checks = Checks()
    keys = {cell.key for cell in planned.cells}
    for record in store_of(out).latest().values():
        if isinstance(record, CellRecord) and record.key in keys:
            failed = record.status in {"error", "crash", "oom"}
            checks.add(record.name, record.error or "ok", passed=not failed)
    return checks.outcome("cells have a record")


def _run_until(seconds: float, study: Path, out: Path, setting: Setting) -> None:
    """Run a study; what is finished by then is kept."""
    process = _defuse("run", study, "--out", out, "--device", setting.device)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()


def _defuse(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "harness", *map(str, arguments)])


def _study(setting: Setting, **changes: Any) -> Path:
    folder = setting.out / "study"
    if setting.tiny:
        return write_study(folder, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    path = folder / STUDY.name
    path.write_text(
        yaml.safe_dump({**content, "budgets": [{"spc": 2}], **changes}), encoding="utf-8"
    )
    return path


def _hardware(setting: Setting) -> HardwareRequest:
    return HardwareRequest(setting.device)


def _data_root() -> Path | None:
    root = os.environ.get("DEFUSE_DATA")
    return None if root is None else Path(root)


def pack(setting: Setting) -> Outcome:
    """Pack records and tables, without weights, into one file."""
    out, target = setting.out / "board", setting.out / "gpu.tar.gz"
    files = [x for x in out.rglob("*") if x.suffix in {*KEPT, ".jsonl", ".log"} and x.is_file()]
    with tarfile.open(target, "w:gz") as archive:
        for file in sorted({*files, *setting.out.glob("gpu.json")}):
            archive.add(file, file.relative_to(setting.out))
    size = target.stat().st_size
    said = f"{len(files)} files, {size:,} bytes"
    return Outcome(passed=bool(files), said=said, values={"file": target.name})
