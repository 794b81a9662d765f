"""A task is a victim to train or a cell to run; every task ends as one record."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import torch

from harness.contract import Context, OutOfTimeError
from harness.errors import UserError
from harness.execution.cell import run_cells
from harness.execution.task import Task
from harness.store.record_files import Record
from harness.store.store import StoreError
from harness.training.device import environment
from harness.training.session import WorkerSession
from harness.training.victim import train_victim

SCALARS_KEPT = 400
"""Of a long log, the record keeps evenly spread steps."""


def run_task(task: Task, bench: WorkerSession) -> list[Record]:
    """Run a task and return its record, which is yet to be written. What the task raises becomes the record.

    Of a cohort there is one record per cell, or none at all when it has failed.

    Raises:
        StoreError: its artifacts can't be saved; then no record could be either.
    """
    deadline = None if task.limit is None else time.monotonic() + task.limit
    tasks = task.each()
    contexts = [Context(bench.device, torch.Generator(), deadline) for _ in tasks]
    start = time.perf_counter()
    outcome = _outcome(lambda: _results(task, bench, contexts))
    if task.mates and outcome["status"] != "ok":
        return []
    parts = [{"result": x} for x in outcome.pop("result")] if outcome["status"] == "ok" else [{}]
    common = {
        "wall_seconds": (time.perf_counter() - start) / len(tasks),
        "environment": environment(bench.device),
        "finished": datetime.now(UTC).isoformat(),
    }
    return [
        {**each.head(), **outcome, **part, "scalars": _thinned(ctx.scalars), **common}
        for each, part, ctx in zip(tasks, parts, contexts, strict=True)
    ]


def _results(task: Task, bench: WorkerSession, contexts: list[Context]) -> list[dict[str, Any]]:
    data = bench.data(task.victim)
    if task.victim.source is not None and task.cell is None:
        from harness.bridges.import_victim import import_victim

        return [import_victim(task.victim, data, contexts[0], bench.store)]
    if task.cell is None:
        needed = task.victim.clean
        clean = None if needed is None else bench.loaded(needed, task.others[needed.key]).model
        return [train_victim(task.victim, data, contexts[0], bench.store, clean)]
    assert task.victim_record is not None
    victim = bench.victim(task.cell, task.victim_record, task.others)
    return run_cells([task.cell, *task.mates], victim, data, contexts, bench.store)


def _outcome(work: Callable[[], Any]) -> dict[str, Any]:
    """Return the status and result of a method's work; its exceptions belong into the record."""
    try:
        return {"status": "ok", "result": work()}
    except OutOfTimeError as error:
        return _failure("timeout", error)
    except StoreError:
        raise
    except (
        torch.AcceleratorError
    ) as error:  # the device is in an unknown state, and so is this process
        return _failure("oom" if "out of memory" in str(error) else "crash", error)
    except Exception as error:  # whatever a method raises
        return _failure("oom" if _out_of_memory(error) else "error", error)


def _out_of_memory(error: Exception) -> bool:
    """Tell whether a GPU or this machine had no memory left; torch has no class for the latter."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _failure(status: str, error: Exception) -> dict[str, Any]:
    shown = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return {"status": status, "error": shown, "traceback": trace}


def _thinned(scalars: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return at most SCALARS_KEPT steps; a value that JSON cannot hold is left out."""
    stride = -(-len(scalars) // SCALARS_KEPT) or 1
    return [{k: x for k, x in row.items() if abs(x) < float("inf")} for row in scalars[::stride]]
