"""Prints a study's plan, progress and queue; its progress decides the exit code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import OK, SOME_FAILED, echo

if TYPE_CHECKING:
    from harness.execution.selection import Selection
    from harness.plan.spec import Cell, Victim
    from harness.plan.study import Study
    from harness.store.record_files import LatestRecords
    from harness.store.store import Store


def exit_code(study: Study, latest: LatestRecords, *, say_why: bool = False) -> int:
    """Return 1 if a cell or a probe has failed, or for damaged records, which it names; else 0.

    ``say_why``: write which cells failed, which victims the means leave out, and how to go on.
    """
    say_damaged(latest)
    if say_why:
        _say_unplanted(study, latest)
    failed = _failed(study, latest)
    if failed and say_why:
        by_status = ", ".join(f"{n} {status}" for status, n in failed.items())
        echo(
            f"exit code 1, as cells failed ({by_status}): 'defuse logs {study.typed} CELL' says "
            f"why, 'defuse run {study.typed} --mode retry' runs them again"
        )
    return SOME_FAILED if failed or latest.damaged else OK


def _failed(study: Study, latest: LatestRecords) -> dict[str, int]:
    """Return how many cells and probes failed, by status."""
    from harness.execution.study_progress import study_progress
    from harness.store.record import FAILED

    progress = study_progress(study, latest)
    return {x: n for x in FAILED if (n := progress.cells[x] + progress.probes[x])}


def _say_unplanted(study: Study, latest: LatestRecords) -> None:
    """Write how many victims failed the gate, why the first of them did, and what to change."""
    from harness.store.gate import gate_failures, remedy

    failed, total = gate_failures(study, latest), len(study.defended)
    if not failed:
        return
    key, reason = next(iter(failed.items()))
    victim = study.defended[key]
    nothing = "no victim is planted, so that the board has no numbers"
    some = f"{len(failed)} of {total} victims failed the gate, so that no mean counts them"
    echo(
        f"{nothing if len(failed) == total else some}; the first, {victim.name}: {reason}. "
        f"Try first: {remedy(study, victim, latest)}"
    )


def say_damaged(latest: LatestRecords) -> None:
    """Write, to standard error, a line for each file of which damaged lines were left out."""
    for line in latest.damaged:
        click.echo(click.style(line, fg="red", bold=True), err=True)


def print_progress(study: Study, latest: LatestRecords) -> None:
    """Write how many cells, victims and probes have which status."""
    from harness.execution.study_progress import study_progress

    progress = study_progress(study, latest)
    for kind, counts in zip(("cells", "victims", "probes"), progress, strict=True):
        if not counts and kind == "probes":
            continue
        by_status = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        echo(f"{study.name}: {sum(counts.values())} {kind}: {by_status}")


def progress_json(study: Study, latest: LatestRecords) -> dict[str, Any]:
    """Return how many cells, victims and probes have which status, as JSON values."""
    from harness.execution.study_progress import study_progress

    cells, victims, probes = study_progress(study, latest)
    counts = {"cells": dict(cells), "victims": dict(victims), "probes": dict(probes)}
    return {"study": study.name, **{kind: x for kind, x in counts.items() if x or kind != "probes"}}


def print_activity(study: Study, store: Store) -> None:
    """Write what runs, and how many of the study's jobs are in the queue of a cluster."""
    from harness.execution.running import running_tasks
    from harness.execution.slurm_queue import queued_jobs

    for task in running_tasks(study, store):
        echo(task.text())
    if jobs := queued_jobs(study, store):
        by_state = ", ".join(f"{n} {state}" for state, n in sorted(jobs.items()))
        echo(f"{study.name}: {jobs.total()} jobs in the queue: {by_state}")


def print_plan(study: Study, latest: LatestRecords, selection: Selection) -> None:
    """Write every cell with its key and what a run would do with it."""
    from harness.store.gate import cell_status, unplanted_victims

    unplanted = unplanted_victims(study, latest)
    open_keys = {cell.key for cell in selection.open_cells(study, latest)}
    for cell in study.cells:
        if cell.skip:
            mark = f"skip: {cell.skip}"
        else:
            mark = "open" if cell.key in open_keys else cell_status(cell, latest, unplanted)
        echo(f"{cell.key}  {mark:8}  {cell.name}")
    for line in _targets(study):
        echo(line)
    print_progress(study, latest)
    say_damaged(latest)
    echo(f"{len(open_keys)} cells to run")
    if probes := selection.open_probes(study, selection.open_cells(study, latest), latest):
        echo(f"{len(probes)} probes to run")
    for line in _expected(study, latest, selection):
        echo(line)


def _targets(study: Study) -> Iterator[str]:
    """Yield the target on each data set, with the name of its class."""
    from harness.plan.target import target_class, target_text

    targets = {(x.data.name, x.target): x for x in study.victims().values() if not x.is_clean}
    for (data, target), victim in targets.items():
        yield f"target on {data}: {target_text(target, target_class(target, victim.data))}"


def _expected(study: Study, latest: LatestRecords, selection: Selection) -> Iterator[str]:
    """Yield how long a run is expected to take on one worker: in all, and by axis."""
    from harness.execution.demand import demand_of
    from harness.execution.durations import forecast_of
    from harness.execution.readable import clock

    cells = selection.open_cells(study, latest)
    probes = selection.open_probes(study, cells, latest)
    victims = selection.open_victims(study, [*cells, *probes], latest, lambda _: True)
    forecast = forecast_of(study, [*victims, *cells, *probes], latest)
    if not (cells or victims or probes):
        return
    yield str(demand_of([*victims, *cells], latest))
    seconds = forecast.remaining_seconds()
    yield f"about {clock(seconds)} on one worker, {clock(seconds / 2)} on two (h:mm:ss or m:ss)"
    axes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def add(axis: str, name: str, subject: Victim | Cell) -> None:
        axes[axis][name] += forecast.expected_seconds(subject)

    for victim in victims:
        add("victims", victim.attack.label, victim)
    for cell in cells:
        add("defenses", cell.defense.label, cell)
        add("budgets", cell.budget.label(), cell)
    for cell in forecast.repeated.values():
        add("run again for probes", cell.defense.label, cell)
    for axis, totals in axes.items():
        longest = sorted(totals.items(), key=lambda item: -item[1])
        yield f"  {axis}: {', '.join(f'{name} {clock(total)}' for name, total in longest)}"
