"""Writes the reference board again, and the two documents that show all of it.

Run by hand: ``python -m tests.reference_paper OUT DATA_ROOT``, with the study's records and
artifacts below OUT; cells without a record keep their rows of the ``records.csv`` that is there.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from harness.plan.paper import Paper
from harness.report.frame.report_data import load_report_data
from harness.report.write import write_report
from harness.store.store import store_of
from harness.study.load import load_study

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "configs" / "ims_paper_cifar10_small.yaml"
FOLDER = ROOT / "results" / "reference" / "ims_paper_cifar10_small"
RECORDS = FOLDER / "records.csv"
BOARD = ("records.csv", "leaderboard.csv", "leaderboard.md", "attacks.md", "ranks.md", "victims.md")
PAPERS = {
    "ieee": Paper(format="ieee", font="serif", ours="ims", published=True),
    "neurips": Paper(format="neurips", font="serif", ours="ims", published=True),
}
"""By folder in ``FOLDER / "paper"``."""


def main(out: Path, data_root: Path) -> None:
    """Write the files of the board, then the documents."""
    study, store = load_study(STUDY, data_root), store_of(out)
    with tempfile.TemporaryDirectory() as name:
        for kind, paper in {"board": None, **PAPERS}.items():
            report = load_report_data([study], store, paper=paper, known=RECORDS)
            write_report(report, Path(name) / kind)
        for file in BOARD:
            shutil.copy(Path(name) / "board" / file, FOLDER)
        for kind in PAPERS:
            folder = FOLDER / "paper" / kind
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for ending in ("tex", "pdf"):
                for path in (Path(name) / kind).glob(f"*.{ending}"):
                    shutil.copy(path, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
