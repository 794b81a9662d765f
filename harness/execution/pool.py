"""The local launcher: a pool of long-lived worker processes, one per slot, and their supervisor.

A worker that dies, by a segmentation fault or killed by the kernel, costs its own task, which gets
a ``crash`` record; a task past its time limit gets a ``timeout`` record. Either way a new worker
takes the slot. A task that ran out of memory is tried once more, alone on its device. A GPU on
which three tasks in a row crash, or no worker starts, is given up: its tasks go to the others. Only
the supervisor writes records, so that every task gets one, whatever happens to its worker.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import replace
from multiprocessing.connection import wait

from harness.errors import UserError
from harness.execution.device_health import DeviceHealth, method_of
from harness.execution.gpu_sharing import GpuSharing
from harness.execution.schedule import Schedule
from harness.execution.signals import InterruptGuard
from harness.execution.task import RunListener, StoreFailed, Task
from harness.execution.worker_process import Serve, WorkerProcess
from harness.store.record import Failure, Status, TaskRecord
from harness.store.store import Store, StoreError

DEATH_GRACE = 1.0
"""Seconds before a dead worker is reported: when a whole job or machine is ended, the supervisor
is killed as well, and no task is blamed."""


def run_pool(
    schedule: Schedule, store: Store, sharing: GpuSharing, serve: Serve, listener: RunListener
) -> None:
    """Run every task of a schedule in worker processes.

    Args:
        schedule: the open tasks.
        store: takes the records.
        sharing: where workers run, and how many at a time.
        serve: what a worker process runs.
        listener: is notified of every start and every record.

    Raises:
        UserError: records can't be written (a full disk), or no device is left; what is finished is
            kept.
        Interrupted: by Ctrl-C or SIGTERM; likewise.
    """
    workers = [WorkerProcess(slot, store.folder, serve) for slot in sharing.slots]
    with InterruptGuard() as guard:
        try:
            _Pool(schedule, store, workers, sharing, listener, guard).run()
        except StoreError as error:
            raise _unwritable(str(error)) from error
        finally:
            for worker in workers:
                worker.stop()


def _unwritable(reason: str) -> UserError:
    return UserError(
        f"records can't be written: {reason}; what is finished is kept: fix that and run again"
    )


class _Pool:
    def __init__(
        self,
        schedule: Schedule,
        store: Store,
        workers: list[WorkerProcess],
        sharing: GpuSharing,
        listener: RunListener,
        guard: InterruptGuard,
    ) -> None:
        self.schedule = schedule
        self.store = store
        self.workers = workers
        self.sharing = sharing
        self.listener = listener
        self.guard = guard
        self.out_of_memory: defaultdict[str, deque[Task]] = defaultdict(deque)
        """By device: tasks that ran out of memory, to be tried again alone."""
        self.exclusive: set[str] = set()
        """Keys of the tasks that were or are tried alone."""
        self.health = {x.slot.device: DeviceHealth(x.slot.device) for x in workers}
        """The devices that are in use, by name."""

    def run(self) -> None:
        for record in self.schedule.dependency_failures:
            self.store_record(record)
        while self.assign_idle() or self.retry_held():
            waitables = [x for worker in self.workers for x in worker.waitables()]
            wait([self.guard.fileno(), *waitables], timeout=1.0)
            self.guard.check()
            for worker in self.workers:
                self.handle_worker(worker)

    def assign_idle(self) -> bool:
        """Give every idle worker a task; tell whether any worker is busy."""
        for worker in self.workers:
            if worker.task is None and (task := self.next_task(worker)) is not None:
                alone = task.key in self.exclusive
                workers = 1 if alone else self.sharing.workers_on(worker.slot.device)
                task = replace(task, workers=workers)
                worker.assign(task)
                self.listener.on_start(task, worker.slot)
        return any(worker.task is not None for worker in self.workers)

    def next_task(self, worker: WorkerProcess) -> Task | None:
        """Return what an idle worker may start now."""
        device = worker.slot.device
        peers = [other for other in self.workers if other.slot.device == device]
        running = [peer.task for peer in peers if peer.task is not None]
        to_retry = self.out_of_memory[device]
        if not self.sharing.is_open(worker.slot):
            worker.stop()
            return None
        if any(task.key in self.exclusive for task in running) or (running and to_retry):
            return None
        if not to_retry:
            return self.schedule.next(worker.current_victim, worker.current_model)
        for peer in peers:
            peer.stop()
        task = to_retry.popleft()
        self.exclusive.add(task.key)
        return task

    def handle_worker(self, worker: WorkerProcess) -> None:
        """Take a worker's result, or replace a worker that died or exceeded the time limit."""
        result, task = worker.poll(), worker.task
        if isinstance(result, StoreFailed):
            raise _unwritable(result.reason)
        if result is not None and task is not None:
            self.on_record(worker, task, result)
        elif worker.ready and worker.is_overdue() and task is not None:
            worker.stop()
            worker.task = None
            self.finish(
                task, task.failed(Failure(Status.TIMEOUT, f"no end after {task.limit:g} s"))
            )
        elif worker.is_dead() or worker.is_overdue():
            self.on_death(worker, task)

    def on_record(self, worker: WorkerProcess, task: Task, record: TaskRecord) -> None:
        worker.task = None
        self.health[worker.slot.device].failed_starts = 0
        if record.status in {Status.OOM, Status.CRASH}:
            worker.stop()  # its memory is fragmented, or its device in an unknown state
        if record.status is Status.OOM and task.key not in self.exclusive:
            self.out_of_memory[worker.slot.device].append(task)
            self.listener.on_set_aside(task)
        elif record.status is Status.CRASH:
            self.on_crash(worker, task, record)
        else:
            self.store_held(self.health[worker.slot.device])
            self.finish(task, record)

    def on_crash(self, worker: WorkerProcess, task: Task, record: TaskRecord) -> None:
        """Blame the task; where its GPU may be to blame and there are others, not yet."""
        health = self.health[worker.slot.device]
        if not health.may_be_to_blame:
            self.finish(task, record)
            return
        health.crashed_methods.append(method_of(task))
        if len(self.health) > 1:
            health.held.append((task, record))
            self.listener.on_set_aside(task)
        else:
            self.finish(task, record)
        if health.is_broken:
            self.give_up_crashing(health, record.error)

    def store_held(self, health: DeviceHealth) -> None:
        """Blame the tasks that crashed on a device which is well."""
        for task, record in health.release():
            self.finish(task, record)

    def retry_held(self) -> bool:
        """With nothing else to do, try on another device what crashed on one; tell if anything."""
        for health in list(self.health.values()):
            if health.held and len(self.health) > 1:
                self.give_up_crashing(health, health.held[-1][1].error)
            elif health.held:
                self.store_held(health)
            else:
                continue
            return True
        return False

    def give_up_crashing(self, health: DeviceHealth, error: str) -> None:
        count = len(health.crashed_methods)
        self.give_up(health, f"tasks on {health.device} crashed, {count} in a row ({error})")

    def give_up(self, health: DeviceHealth, reason: str) -> None:
        """Use a device no more, and give its tasks to the others.

        Raises:
            UserError: there is no other.
        """
        if len(self.health) == 1:
            raise UserError(f"{reason}; no other device is left, and what is finished is kept")
        del self.health[health.device]
        self.sharing.close(health.device)
        tasks = [task for task, _ in health.release()]
        tasks += self.out_of_memory.pop(health.device, ())
        for worker in self.workers:
            if worker.slot.device == health.device:
                if worker.task is not None:
                    tasks.append(worker.task)
                    self.listener.on_set_aside(worker.task)
                worker.stop()
                worker.task = None
        for task in tasks:
            self.exclusive.discard(task.key)
            self.schedule.take_back(task)
        self.listener.on_give_up(reason)

    def on_death(self, worker: WorkerProcess, task: Task | None) -> None:
        had_started, exit_status = worker.ready, worker.stop()
        time.sleep(DEATH_GRACE)
        self.guard.check()
        worker.task = None
        if task is not None and not had_started:
            self.restart(worker, task, exit_status)
        elif task is not None:
            failure = Failure(Status.CRASH, f"the worker process died ({exit_status})")
            self.on_crash(worker, task, task.failed(failure))

    def restart(self, worker: WorkerProcess, task: Task, exit_status: str) -> None:
        """Give the task to a new worker: it is not to blame for a worker that never started it."""
        worker.assign(task)
        health = self.health[worker.slot.device]
        health.failed_starts += 1
        if health.is_broken:
            died = f"workers on {health.device} die before they start ({exit_status}); see above"
            self.give_up(health, died)

    def finish(self, task: Task, record: TaskRecord) -> None:
        for each in (record, *self.schedule.finish(task, record)):
            self.store_record(each)

    def store_record(self, record: TaskRecord) -> None:
        self.store.append(record)
        self.sharing.add(record)
        self.listener.on_finish(record)
