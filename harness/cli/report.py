"""How the commands write a report, or find that it is written."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import console, echo, exit_code

if TYPE_CHECKING:
    from harness.plan.spec import Study
    from harness.store.record_files import LatestRecords


def report_if_needed(plan: Study, latest: LatestRecords, out: Path) -> int:
    """Write the report, or show its board where nothing has changed since it was written."""
    from harness.plan.report_names import BOARD, PAGE
    from harness.report.up_to_date import input_digest, up_to_date

    folder = out / plan.name
    if not up_to_date(folder, input_digest([plan], latest)):
        return report_anew([plan], out)
    echo((folder / BOARD).read_text(encoding="utf-8"))
    echo(f"nothing to do, and {folder / PAGE} is up to date")
    return exit_code(plan, latest)


def report_anew(plans: list[Study], out: Path, against: str | None = None) -> int:
    """Write the report of one study or several, and return the exit code."""
    from harness.execution.run import store_of
    from harness.report.frame.report_data import load_report_data
    from harness.report.up_to_date import input_digest, write_stamp
    from harness.report.write import write_report

    folder = out / "+".join(plan.name for plan in plans)
    gc.disable()  # hundreds of thousands of records that stay: no collection need look through them
    try:
        source = load_report_data(plans, store_of(out), against)
        written = write_report(source, folder)
    finally:
        gc.enable()
    write_stamp(folder, input_digest(plans, source.records, against), written.paths)
    console().print(written.terminal)
    for path in written.first:
        echo(str(path))
    echo(f"and {len(written.paths) - len(written.first)} more files in {folder}")
    return max(exit_code(plan, source.records) for plan in plans)
