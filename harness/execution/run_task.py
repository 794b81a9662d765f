"""Runs one task: a victim, a cell or a probe. Every task ends as a record."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from msgspec.structs import replace

from harness.contract import Context
from harness.errors import UserError
from harness.execution.cell import run_cell, run_cell_apart
from harness.execution.failures import OverdueAlarm, after_failure, failure_of
from harness.execution.own.confinement import held
from harness.execution.probe import run_probe
from harness.execution.scalars import kept_steps
from harness.execution.task import Task
from harness.store.record import (
    CellRecord,
    CellResult,
    Failure,
    ProbeRecord,
    ProbeResult,
    Run,
    TaskRecord,
    VictimRecord,
    VictimResult,
)
from harness.store.record_files import to_line
from harness.store.store import StoreError
from harness.training.device import (
    limit_memory,
    peak_memory_mb,
    peak_reserved_mb,
    reset_peak_memory,
)
from harness.training.process_state import ProcessState
from harness.training.session import ChangedInPlaceError
from harness.training.victim import train_victim

if TYPE_CHECKING:
    from harness.training.session import WorkerSession

Result = VictimResult | CellResult | ProbeResult


def run_task(
    task: Task, session: WorkerSession, on_error: Callable[[BaseException], object] = lambda _: None
) -> TaskRecord:
    """Run a task and return its record, to be stored; an exception makes it a failure.

    ``on_error`` is called with the exception, where it was caught.

    Raises:
        StoreError: the artifacts can't be saved; a record could not be either.
    """
    ctx = Context(session.device, torch.Generator(), time.monotonic() + task.limit)
    limit_memory(session.device, 1 / task.workers)
    state = ProcessState()
    start = time.perf_counter()
    outcome = _outcome(lambda: _result(task, session, ctx, state), on_error)
    if isinstance(outcome, Failure):
        outcome = after_failure(outcome, session.device)
    state.restore(last=True)
    session.spoiled |= state.spoiled
    seconds = time.perf_counter() - start
    apart = session.apart and task.cell is not None and task.cell.runs_own_file
    machine = replace(session.environment, workers=task.workers, isolation=held() if apart else "")
    return _record(task, _noted(outcome, state), Run(seconds, machine, kept_steps(ctx.scalars)))


def _noted(outcome: Result | Failure, state: ProcessState) -> Result | Failure:
    """Return the outcome of a task with what the method changed in its process."""
    if isinstance(outcome, VictimResult):
        return outcome
    if isinstance(outcome, Failure):
        return outcome._replace(error=state.noted(outcome.error))
    return replace(outcome, notes=outcome.notes | state.notes())


def _record(task: Task, outcome: Result | Failure, run: Run) -> TaskRecord:
    record = _whole_record(task, outcome, run)
    try:
        to_line(record)
    except (ValueError, TypeError, OverflowError) as error:
        return task.failed(failure_of(UserError(f"no record can hold it: {error}")))
    return record


def _whole_record(task: Task, outcome: Result | Failure, run: Run) -> TaskRecord:
    if isinstance(outcome, Failure):
        return task.failed(outcome, run)
    if isinstance(outcome, VictimResult):
        return VictimRecord.ok(task.victim, outcome, run)
    if isinstance(outcome, ProbeResult):
        assert task.probe is not None
        return ProbeRecord.ok(task.probe, outcome, run)
    assert task.cell is not None
    return CellRecord.ok(task.cell, outcome, run)


def _result(task: Task, session: WorkerSession, ctx: Context, state: ProcessState) -> Result:
    def check() -> None:
        state.restore()
        session.check()

    with suppress(ChangedInPlaceError):  # by an earlier task, after its check
        session.check()
    data, store = session.data(task.victim), session.store
    if task.probe is not None:
        assert task.victim_record is not None
        victims = {**task.other_victims, task.victim.key: task.victim_record}
        return run_probe(task.probe, task.cell_record, victims, session, ctx, check)
    if task.cell is not None:
        assert task.victim_record is not None
        victim = session.victim(
            task.victim,
            task.victim_record,
            task.cell.numerics,
            task.cell.triggers,
            task.other_victims,
        )
        if task.cell.runs_own_file and session.apart:
            return run_cell_apart(task.cell, victim, data, ctx, store)
        return run_cell(task.cell, victim, data, ctx, store, check)
    if task.victim.source.imported:
        from harness.bridges.import_victim import import_victim

        return import_victim(task.victim, data, ctx, store)
    needed = task.victim.clean
    clean = None if needed is None else session.load(needed, task.other_victims[needed.key]).model
    reset_peak_memory(ctx.device)
    result = train_victim(task.victim, data, ctx, store, clean)
    peaks = peak_memory_mb(ctx.device), peak_reserved_mb(ctx.device)
    return replace(result, peak_mem_mb=peaks[0], peak_reserved_mb=peaks[1])


def _outcome(
    work: Callable[[], Result], on_error: Callable[[BaseException], object] = lambda _: None
) -> Result | Failure:
    """Return the result of a method's work, or why it failed: exceptions belong in the record."""
    try:
        return work()
    except StoreError:
        raise
    except (Exception, SystemExit, OverdueAlarm) as error:  # whatever a method raises
        if isinstance(error, OverdueAlarm):
            signal.setitimer(signal.ITIMER_REAL, 0)
        on_error(error)
        return failure_of(error)
