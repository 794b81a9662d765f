"""What methods logged, as TensorBoard events: one run per victim and cell, when it has finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.plan.keys import slug

if TYPE_CHECKING:
    from harness.execution.slots import Slot
    from harness.execution.task import RunListener, Task
    from harness.store.record import TaskRecord


class EventWriter:
    """Notifies another listener, and writes the steps of every record that has some."""

    def __init__(
        self, listener: RunListener, folder: Path, open_run: Callable[[str], Any] | None = None
    ) -> None:
        """Write below ``folder``; ``open_run`` returns the writer of a run, given its folder.

        Raises:
            UserError: the package tensorboard is missing.
        """
        self.listener = listener
        self.folder = folder
        self.open_run = _summary_writer() if open_run is None else open_run

    def on_start(self, task: Task, slot: Slot) -> None:
        """Notify the listener."""
        self.listener.on_start(task, slot)

    def on_set_aside(self, task: Task) -> None:
        """Notify the listener."""
        self.listener.on_set_aside(task)

    def on_give_up(self, reason: str) -> None:
        """Notify the listener."""
        self.listener.on_give_up(reason)

    def on_finish(self, record: TaskRecord) -> None:
        """Notify the listener, and write the record's steps, as thinned out as the record's."""
        self.listener.on_finish(record)
        if not record.scalars:
            return
        name = f"{slug(record.name, '_')}_{record.key[:6]}"
        with self.open_run(str(self.folder / name)) as run:
            for i, row in enumerate(record.scalars):
                step = int(row.get("step", i))
                for scalar, value in row.items():
                    if scalar != "step":
                        run.add_scalar(scalar, value, step)


def _summary_writer() -> Callable[[str], Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("--tensorboard needs a package: pip install tensorboard") from error
    writer: Callable[[str], Any] = SummaryWriter
    return writer
