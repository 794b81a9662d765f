"""Records with plausible contents, for tests that run nothing."""

from types import SimpleNamespace

import msgspec

from harness.plan.spec import Victim
from harness.store.record import (
    CellArtifacts,
    CellRecord,
    CellResult,
    Environment,
    Failure,
    Run,
    Status,
    VictimArtifacts,
    VictimRecord,
    VictimResult,
)

FINISHED = "2026-01-01T00:00:00+00:00"
ENVIRONMENT = Environment(device="cpu", hardware="a CPU", threads=1, torch="2.9", python="3.11")
METHOD = {"name": "x", "version": "1", "hyper": {}}
CELL_SPEC = {
    "victim": "v",
    "defense": METHOD,
    "budget": {"spc": 2, "ratio": None},
    "evaluation": 1,
    "seed": 0,
}


def victim_result(**changes) -> VictimResult:
    """Return the result of a victim; ``changes`` replace fields."""
    name = "0" * 32 + ".safetensors"
    result = VictimResult(
        poisoned=100,
        covers=0,
        drawn=None,
        precision="fp32",
        acc=0.95,
        asr=0.99,
        ra=0.01,
        psnr=20.0,
        ssim=0.9,
        linf=100.0,
        artifacts=VictimArtifacts(model=name, trigger=name, predictions=name, samples=name),
    )
    return msgspec.structs.replace(result, **changes)


def cell_result(**changes) -> CellResult:
    """Return the result of a cell; ``changes`` replace fields."""
    result = CellResult(
        acc=0.9,
        asr=0.1,
        ra=0.8,
        der=0.9,
        rir=0.9,
        arr=0.05,
        rdr=0.2,
        acc_before=0.95,
        asr_before=0.99,
        ra_before=0.01,
        changed=0.1,
        triggers={},
        companions={},
        artifacts=CellArtifacts(predictions="1" * 32 + ".safetensors.gz"),
        seconds=1.0,
        n_clean=20,
    )
    return msgspec.structs.replace(result, **changes)


def ok(planned, result=None, run=None, finished=FINISHED, **changes):
    """Return the ok record of a victim or cell; ``changes`` replace fields of its result."""
    run = run or Run(1.0, ENVIRONMENT)
    if isinstance(planned, Victim):
        record = VictimRecord.ok(planned, result or victim_result(**changes), run)
    else:
        record = CellRecord.ok(planned, result or cell_result(**changes), run)
    return msgspec.structs.replace(record, finished=finished)


def failed(planned, status="error", error="it broke", run=None, finished=FINISHED):
    """Return the record of a victim or cell that failed."""
    kind = VictimRecord if isinstance(planned, Victim) else CellRecord
    record = kind.failed(planned, Failure(Status(status), error), run or Run(1.0, ENVIRONMENT))
    return msgspec.structs.replace(record, finished=finished)


def cell_of_no_study(key="a", **changes) -> CellRecord:
    """Return the ok record of a cell; ``changes`` replace fields of the record."""
    planned = SimpleNamespace(key=key, name=f"cell {key}", spec=CELL_SPEC)
    run = Run(1.0, ENVIRONMENT, [{"step": 0.0, "loss": 1.5}])
    record = CellRecord.ok(planned, cell_result(), run)
    return msgspec.structs.replace(record, **{"finished": FINISHED, **changes})
