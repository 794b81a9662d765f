"""Which devices of a pool still work: a GPU on which tasks only crash is not used any more."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.execution.task import Task
from harness.store.record import TaskRecord

MOST_CRASHES = 3
"""Tasks in a row that may crash on a GPU before it is given up; they must be of several methods, as
one that always crashes proves nothing."""
MOST_FAILED_STARTS = 3
"""A device is given up when more workers than this have died in a row before their first task."""


@dataclass
class DeviceHealth:
    """What has failed on a device since something last ended well there."""

    device: str
    failed_starts: int = 0
    """Workers in a row that died before they started their task."""
    crashed_methods: list[str] = field(default_factory=list)
    """The methods of the tasks that crashed there."""
    held: list[tuple[Task, TaskRecord]] = field(default_factory=list)
    """Those of the tasks that may run elsewhere, and their records, which are not stored yet."""

    @property
    def may_be_to_blame(self) -> bool:
        """Whether a crash there may be the device's fault; on a CPU it is the task's."""
        return self.device != "cpu"

    @property
    def is_broken(self) -> bool:
        """Whether the device is to be given up."""
        crashed = len(self.crashed_methods) >= MOST_CRASHES and len(set(self.crashed_methods)) > 1
        return crashed or self.failed_starts > MOST_FAILED_STARTS

    def release(self) -> list[tuple[Task, TaskRecord]]:
        """Forget the crashes; return what was held."""
        held, self.held, self.crashed_methods = self.held, [], []
        return held


def method_of(task: Task) -> str:
    """Return the name of the method that a task runs."""
    if task.probe is not None:
        return task.probe.probe.label
    return task.victim.attack.label if task.cell is None else task.cell.defense.label
