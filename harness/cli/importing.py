"""The command import: models that other toolboxes trained become victims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import DATA_ROOT, OK, OUT, SOME_FAILED, echo
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.plan.spec import Victim
    from harness.store.record import VictimRecord, VictimResult
    from harness.store.store import Store

NOTABLE = 0.0005
"""Differences from the record's own numbers are shown from here on: 0.05 points."""


@click.group("import")
def import_() -> None:
    """Make victims of models that another toolbox trained."""


@import_.command(short_help="Make victims of its records.")
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@OUT
@DATA_ROOT
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
def backdoorbench(records: tuple[str, ...], out: Path, data_root: Path | None, device: str) -> int:
    """Import RECORDs of BackdoorBench (folders) and compare with the numbers that they hold."""
    from harness.store.store import store_of

    victims = _resolve(records, data_root)
    store = store_of(out)
    return max(_import(victim, store, device) for victim in victims)


def _resolve(records: tuple[str, ...], data_root: Path | None) -> list[Victim]:
    """Return the victims of all records.

    Raises:
        UserError: one line for every record that is not in order.
    """
    from harness.bridges.context import ImportContext
    from harness.bridges.imported_victims import once_per_seed, resolve_victims
    from harness.data.cache import default_cache, prepare
    from harness.data.options import DataOptions

    cache = default_cache()
    setting = ImportContext(
        Path.cwd(),
        cache.parent / "imported",
        lambda name: prepare(name, DataOptions(), data_root, cache),
        [],
    )
    victims: list[Victim] = []
    faults: list[str] = []
    for record in records:
        try:
            victims += resolve_victims({"backdoorbench": record}, setting)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return once_per_seed(victims, [0])


def _import(victim: Victim, store: Store, device: str) -> int:
    """Import one victim, unless the store holds it, and print its scores."""
    from harness.store.record import VictimRecord

    record = store.newest(victim.key)
    assert record is None or isinstance(record, VictimRecord)
    if record is None or record.status.failed or not store.has_artifacts(record):
        record = _run(victim, store, device)
    if record.status.failed:
        echo(f"{victim.attack.label}: {record.status}: {record.error}")
        return SOME_FAILED
    scores = _scores(record.ok_result)
    echo(f"{victim.attack.label}: {victim.data.name}, {victim.model.label}, {scores}")
    return OK


def _run(victim: Victim, store: Store, device: str) -> VictimRecord:
    from harness.execution.run_task import run_task
    from harness.execution.slots import cores
    from harness.execution.task import Task
    from harness.store.record import VictimRecord
    from harness.training.device import select_device, set_up_torch
    from harness.training.session import WorkerSession

    set_up_torch(cores())
    record = run_task(Task(victim), WorkerSession(store, select_device(device)))
    assert isinstance(record, VictimRecord)
    store.append(record)
    return record


def _scores(result: VictimResult) -> str:
    """Return ACC, ASR and RA in percent, and by how much the record's own numbers differ."""
    from harness.store.record import ReportedScores

    reported = result.reported or ReportedScores()
    pairs = {
        "ACC": (result.acc, reported.acc),
        "ASR": (result.asr, reported.asr),
        "RA": (result.ra, reported.ra),
    }
    text = " ".join(f"{name} {100 * ours:.2f}" for name, (ours, _) in pairs.items())
    if reported == ReportedScores():
        return f"{text}; the record has no attack_df.csv to compare with"
    differing = {name: (x, ours - x) for name, (ours, x) in pairs.items() if x is not None}
    if all(abs(change) < NOTABLE for _, change in differing.values()):
        return f"{text}, as its attack_df.csv says"
    in_file = " ".join(
        f"{name} {100 * x:.2f} ({100 * change:+.2f})" for name, (x, change) in differing.items()
    )
    return f"{text}; its attack_df.csv says {in_file}"
