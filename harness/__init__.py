"""Defuse: a benchmark harness for backdoor defenses.

For notebooks and scripts; ``import harness`` alone imports nothing else::

    study = harness.load_study("quickstart")
    harness.run(study)
    results = harness.results(study)
    results.cells                              # a DataFrame
    results.draw("tradeoff").figure            # matplotlib's, to be changed
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.execution.selection import Mode
    from harness.plan.paper import Paper
    from harness.plan.study import Study
    from harness.report.results import StudyResults
    from harness.store.record_files import LatestRecords
    from harness.study.load import load_study

__all__ = ["Paper", "load_study", "read_results", "records", "results", "run"]


def __getattr__(name: str) -> Any:
    if name == "load_study":
        from harness.study.load import load_study

        return load_study
    if name == "Paper":
        from harness.plan.paper import Paper

        return Paper
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def run(
    study: Study, out: str | Path = "results", *, mode: Mode = "run", inline: bool = False
) -> None:
    """Run what is open of a study, as ``defuse run`` does; no report is written.

    Args:
        study: from ``load_study``.
        out: the folder of records and victims.
        mode: run: what has no record; retry: failures too; force: everything; read-only: nothing.
        inline: run in this process. A script that does not must call this function below
            ``if __name__ == "__main__":``, because worker processes import the script.

    Raises:
        UserError: records can't be written.
    """
    from rich.console import Console

    from harness.execution.options import Options
    from harness.execution.run import run_study
    from harness.execution.selection import Selection
    from harness.store.store import store_of

    options = Options(Selection(mode=mode), inline=inline)
    run_study(study, store_of(Path(out)), options, Console(stderr=True))


def records(study: Study, out: str | Path = "results") -> pd.DataFrame:
    """Return a study's cells as a DataFrame with the columns of ``records.csv``."""
    from harness.report.frame.frame import build_frame
    from harness.store.store import store_of

    latest = store_of(Path(out)).latest()
    _warn(latest)
    return build_frame([study], latest)


def results(
    *studies: Study, out: str | Path = "results", paper: Paper | None = None
) -> StudyResults:
    """Return the results of studies: ``cells``, ``victims``, ``table(name)``, ``draw(name)``.

    Args:
        studies: from ``load_study``.
        out: the folder of records and victims.
        paper: the page that tables and figures are made for; by default the first study's.

    Raises:
        UserError: a damaged file of records, or two studies of one name.
    """
    from harness.report.results import results_of

    found = results_of(studies, Path(out), paper)
    _warn(found.report.records)
    return found


def read_results(path: str | Path, paper: Paper | None = None) -> StudyResults:
    """Return the results in a ``records.csv``, without the records that it was made from.

    Raises:
        UserError: the file can't be read, or is no ``records.csv``.
    """
    from harness.report.results import results_in

    return results_in(Path(path), paper)


def _warn(latest: LatestRecords) -> None:
    """Warn of files of which damaged lines were left out."""
    for line in latest.damaged:
        warnings.warn(line, stacklevel=3)
