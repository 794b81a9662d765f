"""Writes the front page's pictures of a finished quickstart: ``python -m tests.pictures [OUT]``."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console, RenderableType

from harness.report.frame.report_data import load_report_data
from harness.report.write import write_report
from harness.store.store import store_of
from harness.study.load import load_study

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
COLUMNS = 84


def board_svg(board: RenderableType) -> str:
    """Return a terminal that shows a board; without rich's web fonts, which no page would load."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(board)
        svg = console.export_svg(title="defuse run quickstart", unique_id="board")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main(out: Path) -> None:
    """Write the board and the figure of the quickstart's records in a folder of results."""
    report = load_report_data([load_study("quickstart")], store_of(out))
    with tempfile.TemporaryDirectory() as folder:
        written = write_report(report, Path(folder))
        shutil.copy(Path(folder) / "tradeoff.png", PICTURES)
    (PICTURES / "board.svg").write_text(board_svg(written.terminal), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
