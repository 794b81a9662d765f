"""Commands that explain one cell or victim: show, and logs for what its method printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import DATA_ROOT, OK, ONLY, OUT, STUDY, echo, folders_given

if TYPE_CHECKING:
    from harness.plan.spec import Cell, Victim
    from harness.plan.study import Study
    from harness.store.record import CellResult, TaskRecord, VictimResult
    from harness.store.store import Store

WORDS = click.argument("words", metavar="CELL... [KEY=VALUE...]", nargs=-1)
WIDTH = 13
"""Columns of a label."""


@click.command(short_help="Tell about one cell or victim: scores or failure, files, how to rerun.")
@STUDY
@WORDS
@ONLY
@click.option("--json", "as_json", is_flag=True, help="The whole record, as JSON.")
@OUT
@DATA_ROOT
def show(
    study_path: Path,
    words: tuple[str, ...],
    choices: tuple[str, ...],
    as_json: bool,
    out: Path,
    data_root: Path | None,
) -> int:
    """Show what is known of CELL: its scores or its failure, where its files are, how to rerun it.

    CELL is (the start of) a key, or words of a name, like ims SPC 10 seed 0; victim badnets seed 0
    is a victim. --only narrows the choice. KEY=VALUE is as for run.
    """
    from harness.plan.names import PlanStatus
    from harness.store.gate import subject_status
    from harness.store.record import to_json
    from harness.store.store import store_of

    study, planned = _named(study_path, data_root, words, choices)
    store = store_of(out)
    record: Any = store.newest(planned.key)
    status, reason = subject_status(study, planned, store.latest())
    if as_json:
        head = {"key": planned.key, "name": planned.name, "spec": planned.spec}
        missing = {**head, "status": status, "reason": reason}
        echo(json.dumps(missing if record is None else to_json(record), indent=2))
        return OK
    lines = [("status", f"{status}{f': {reason}' if reason else ''}")]
    if record is not None:
        lines += _of_record(record, store, planned)
    lines += [
        ("gate", "" if status == PlanStatus.NOT_PLANTED else _gate(study, planned, store)),
        ("try first", _remedy(study, planned, store)),
        ("key", planned.key),
        ("settings", _settings(planned)),
        ("logs", "" if record is None else f"defuse logs {study.typed} {planned.key}"),
        ("rerun", _rerun(study.typed, planned, str(status))),
    ]
    echo(planned.name)
    for label, text in lines:
        if text:
            echo(f"  {label:{WIDTH}}{text}")
    return OK


@click.command(short_help="Show what the method of one cell printed, and its traceback.")
@STUDY
@WORDS
@ONLY
@OUT
@DATA_ROOT
def logs(
    study_path: Path,
    words: tuple[str, ...],
    choices: tuple[str, ...],
    out: Path,
    data_root: Path | None,
) -> int:
    """Show what the method of CELL printed and warned, and the traceback if it failed.

    CELL, --only and KEY=VALUE are as for show, which has the scores.
    """
    from harness.execution.readable import readable_traceback
    from harness.execution.task_log import log_path
    from harness.store.store import store_of

    _, planned = _named(study_path, data_root, words, choices)
    store = store_of(out)
    record: Any = store.newest(planned.key)
    echo(planned.name)
    path = log_path(store, planned.key)
    if path.is_file():
        echo(f"--- printed ({path})")
        echo(path.read_text(encoding="utf-8", errors="replace").rstrip())
    else:
        echo("--- nothing was printed" if record is not None else "--- it has not run")
    if record is not None and record.status.failed:
        echo(f"--- {record.status}: {record.error}")
        echo(readable_traceback(record.traceback))
    return OK


def _named(
    study_path: Path, data_root: Path | None, words: tuple[str, ...], choices: tuple[str, ...]
) -> tuple[Study, Cell | Victim]:
    """Return the study, and the one cell or victim of it that is meant."""
    from harness.plan.find import find_subject
    from harness.study.load import choose_study
    from harness.study.overrides import split_settings

    names, settings = split_settings(words)
    study = choose_study(study_path, data_root, settings, choices, folders_given())
    return study, find_subject(study, " ".join(names))


def _of_record(
    record: TaskRecord, store: Store, planned: Cell | Victim
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a record: scores, times, machine, files."""
    from harness.store.record import CellRecord, ProbeRecord, artifact_names

    attacked = not _victim_of(planned).is_clean
    if record.result is not None:
        if isinstance(record, CellRecord):
            yield from _cell_scores(record.ok_result, attacked)
        elif isinstance(record, ProbeRecord):
            yield from ((name, f"{x:.4f}") for name, x in record.ok_result.numbers.items())
        else:
            yield "scores", _scores(record.ok_result, attacked)
    machine = record.environment
    where = "" if machine is None else f", {machine.device} ({machine.hardware})"
    yield "took", f"{record.wall_seconds:.1f} s{where}, ended {record.finished[:19]} UTC"
    for role, name in artifact_names(record).items():
        yield role, str(store.path_of(name))
    if record.scalars:
        names = sorted({name for row in record.scalars for name in row} - {"step"})
        yield "logged", f"{len(record.scalars)} steps of {', '.join(names)} (--json prints them)"


def _cell_scores(result: CellResult, attacked: bool) -> Iterator[tuple[str, str]]:
    before = (result.acc_before, result.asr_before, result.ra_before)
    yield "before", _percent(attacked, *before)
    der = f"  DER {100 * result.der:.1f}" if attacked else ""
    yield "after", _percent(attacked, result.acc, result.asr, result.ra) + der
    for name, other in result.companions.items():
        yield name, _percent(attacked, other.acc, other.asr, other.ra)
    memory = "" if result.peak_mem_mb is None else f", peak memory {result.peak_mem_mb:.0f} MiB"
    yield "defense", f"{result.seconds:.1f} s on {result.n_clean} clean images{memory}"


def _scores(result: VictimResult, attacked: bool) -> str:
    poisoned = "" if result.poisoned is None else f"  {result.poisoned} poisoned images"
    return _percent(attacked, result.acc, result.asr, result.ra) + poisoned


def _percent(attacked: bool, acc: float, asr: float, ra: float) -> str:
    """Return scores in words; of a model that was never attacked, ACC alone."""
    of_trigger = f"  ASR {100 * asr:5.1f} %  RA {100 * ra:5.1f} %" if attacked else ""
    return f"ACC {100 * acc:5.1f} %{of_trigger}"


def _victim_of(planned: Cell | Victim) -> Victim:
    from harness.plan.spec import Cell

    return planned.victim if isinstance(planned, Cell) else planned


def _gate(study: Study, planned: Cell | Victim, store: Store) -> str:
    from harness.store.gate import verdict, why_not_planted

    victim, latest = _victim_of(planned), store.latest()
    reason = why_not_planted(study, victim, latest)
    return f"{verdict(study, victim, latest)} ({reason or study.gate})"


def _remedy(study: Study, planned: Cell | Victim, store: Store) -> str:
    from harness.store.gate import remedy, why_not_planted

    victim, latest = _victim_of(planned), store.latest()
    return remedy(study, victim, latest) if why_not_planted(study, victim, latest) else ""


def _settings(planned: Cell | Victim) -> str:
    from harness.plan.spec import Cell
    from harness.plan.target import target_class, target_text

    if isinstance(planned, Cell):
        values = planned.defense.hyper
    else:
        values = {
            **planned.attack.hyper,
            "target": target_text(planned.target, target_class(planned.target, planned.data)),
            "recipe": planned.recipe_name,
        }
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _rerun(study: str, planned: Cell | Victim, status: str) -> str:
    from harness.plan.spec import Cell

    if not isinstance(planned, Cell) or status == "skip":
        return ""
    how = {"ok": " --mode force", "missing": "", "not planted": " gate.run=all"}
    again = " (its victim is trained again too)" if status == "ok" else ""
    return f"defuse run {study}{how.get(status, ' --mode retry')} --only key={planned.key}{again}"
