"""Defuse: a benchmark harness for backdoor defenses.

For notebooks and scripts; ``import harness`` alone imports nothing else::

    study = harness.load_study("quickstart")
    harness.run(study)
    frame = harness.records(study)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.execution.selection import Mode
    from harness.plan.study import Study
    from harness.study.load import load_study

__all__ = ["load_study", "records", "run"]


def __getattr__(name: str) -> Any:
    if name == "load_study":
        from harness.study.load import load_study

        return load_study
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

    return build_frame([study], store_of(Path(out)).latest())
