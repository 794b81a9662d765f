"""Commands that write and compare results: report and compare."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    DATA_ROOT,
    OK,
    ONLY,
    OUT,
    SOME_FAILED,
    console,
    echo,
    folders_given,
)
from harness.cli.printing import exit_code
from harness.errors import UserError, nearest
from harness.study.builtin import find_study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.plan.study import Study
    from harness.report.frame.report_data import ReportData
    from harness.store.record_files import LatestRecords


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off: 122,400 cells stay, and would be searched again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@click.command(short_help="Write tables, figures and the page of all cells of a study.")
@click.argument("words", metavar="STUDY... [KEY=VALUE...]", nargs=-1, required=True)
@ONLY
@click.option(
    "--against", metavar="DEFENSE", help="Count wins against it [default: the best ranked]."
)
@click.option(
    "--paper",
    metavar="FORMAT",
    help="ieee, acm, usenix or neurips, or '{format: ieee, ours: ims}' with the keys of a study's "
    "'paper'.",
)
@click.option(
    "--published",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A CSV file of published numbers to show beside the study's [default: BackdoorBench's].",
)
@click.option(
    "--known",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A records.csv whose rows stand in for records that --out lacks, by their keys.",
)
@click.option(
    "--show",
    "shown",
    metavar="NAME",
    multiple=True,
    help="Write and print this table or figure alone, such as attacks; again for more.",
)
@OUT
@DATA_ROOT
@_without_garbage_collection()
def report(
    words: tuple[str, ...],
    choices: tuple[str, ...],
    shown: tuple[str, ...],
    out: Path,
    data_root: Path | None,
    **given: Any,
) -> int:
    """Write tables, figures and the page of one or several studies from their records.

    They replace those in OUT/<study>; name=other writes them to OUT/other. show and logs tell of
    one cell.
    """
    from harness.study.load import choose_study
    from harness.study.overrides import split_settings
    from harness.study.paper import read_paper

    names, settings = split_settings(words)
    if not names:
        raise UserError("defuse report: the name of a study is needed before KEY=VALUE")
    paths = [find_study(name) for name in names]
    folders = tuple(folders_given())
    studies = [choose_study(path, data_root, settings, choices, folders) for path in paths]
    cells = [cell for study in studies for cell in study.cells]
    paper = None if given["paper"] is None else read_paper(given["paper"], cells)
    _check_outputs(shown, studies)
    return write_new_report(studies, out, shown, **{**given, "paper": paper})


def _check_outputs(names: Sequence[str], studies: Sequence[Study]) -> None:
    """Refuse a name that is no table and no figure of the studies."""
    refs = (ref for study in studies for ref in (*study.tables, *study.figures))
    known = ["leaderboard", *(Path(ref).stem for ref in refs)]
    for name in names:
        if name not in known:
            raise UserError(f"--show: no table or figure {name!r} here{nearest(name, known)}")


@click.command(short_help="Compare two folders of results; exit code 1 if the second is worse.")
@click.argument(
    "before", metavar="A", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.argument("after", metavar="B", type=click.Path(path_type=Path, exists=True, file_okay=False))
def compare(before: Path, after: Path) -> int:
    """Compare the records of two --out folders; exit code 1 if B is significantly worse than A."""
    from harness.report.compare import compare_stores
    from harness.store.store import store_of

    compared = compare_stores(store_of(before), store_of(after))
    console().print(compared.terminal)
    return SOME_FAILED if compared.regressed else OK


def report_if_needed(study: Study, latest: LatestRecords, out: Path) -> int:
    """Write the report, or show its board if nothing has changed since it was written."""
    from harness.plan.report_names import BOARD, PAGE
    from harness.report.up_to_date import input_digest, up_to_date

    folder = out / study.name
    if not up_to_date(folder, input_digest([study], latest)):
        return write_new_report([study], out)
    echo((folder / BOARD).read_text(encoding="utf-8"))
    echo(f"nothing to do, and {folder / PAGE} is up to date")
    return exit_code(study, latest, say_why=True)


@_without_garbage_collection()
def write_new_report(
    studies: list[Study], out: Path, names: Sequence[str] = (), **options: Any
) -> int:
    """Write the report of one or several studies, or some of its outputs; return the exit code.

    ``options`` are those of ``load_report_data``.
    """
    from harness.report.frame.report_data import load_report_data
    from harness.report.up_to_date import input_digest, write_stamp
    from harness.report.write import write_report
    from harness.store.store import store_of

    folder = out / "+".join(study.name for study in studies)
    source = load_report_data(studies, store_of(out), **options)
    if names:
        return _show_some(source, folder, names)
    written = write_report(source, folder)
    write_stamp(folder, input_digest(studies, source.records, **options), written.paths)
    console().print(written.terminal)
    for path in written.first:
        echo(str(path))
    echo(f"and {len(written.paths) - len(written.first)} more files in {folder}")
    return max([exit_code(study, source.records, say_why=True) for study in studies])


def _show_some(report: ReportData, folder: Path, names: Sequence[str]) -> int:
    """Write some outputs and print the tables among them, ready to be copied."""
    from harness.report.up_to_date import stamped_files, write_stamp
    from harness.report.write import write_only

    paths = write_only(report, folder, names)
    write_stamp(folder, "", [*stamped_files(folder), *paths])  # no longer a report of one make
    for path in paths:
        if path.suffix == ".md":
            echo(path.read_text(encoding="utf-8"))
    for path in paths:
        echo(str(path))
    return OK
