"""Runs what is open of a study, in worker processes or in this one."""

from __future__ import annotations

from rich.console import Console

from harness.execution.gpu_sharing import share_gpus
from harness.execution.options import Options
from harness.execution.pool import run_pool
from harness.execution.progress import Progress
from harness.execution.running import shown_to_others
from harness.execution.schedule import Schedule
from harness.execution.slots import slots_for
from harness.execution.task import RunListener
from harness.execution.tensorboard import EventWriter
from harness.execution.worker import serve
from harness.plan.study import Study
from harness.store.record_files import LatestRecords
from harness.store.store import Store


def run_study(study: Study, store: Store, options: Options, console: Console) -> LatestRecords:
    """Run what is selected and open, and return the newest record of every key.

    Raises:
        UserError: the device does not exist; records can't be written.
        Interrupted: by Ctrl-C or SIGTERM; what is finished is kept.
    """
    latest = store.latest()
    for line in latest.damaged:
        console.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    schedule = Schedule(study, latest, options.selection, store.has_artifacts)
    tasks = schedule.total_victims + schedule.total_cells + schedule.total_probes
    if tasks == 0:
        return latest
    slots = slots_for(options.hardware)[: 1 if options.inline else tasks]
    sharing = share_gpus(options.hardware, slots, study, latest)
    progress = Progress(console, schedule, sharing.workers)
    listener: RunListener = progress
    if options.tensorboard is not None:
        listener = EventWriter(progress, options.tensorboard)
    with progress, shown_to_others(listener, store) as seen:
        if options.inline:
            from harness.execution.inline import run_inline

            run_inline(schedule, store, slots[0], seen, debug=options.debug)
        else:
            run_pool(schedule, store, sharing, serve, seen)
    return latest
