"""The report of a study: every file of it, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from harness.plan import NO_ATTACK
from harness.report import curves, tables
from harness.report.board import board, leaderboard
from harness.report.parts import NO_DEFENSE, Part, oracles, split
from harness.report.style import Look, looks, save

RECORD_ORDER = [
    "study",
    "data",
    "model",
    "recipe",
    "attack",
    "rate",
    "target",
    "n_clean",
    "budget",
    "defense",
    "seed",
    "key",
]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a report wrote, and its leaderboard for the terminal."""

    paths: list[Path]
    terminal: RenderableType


def write_report(frame: pd.DataFrame, folder: Path, victims: Callable[[Path], None] | None = None) -> Written:
    """Write records, leaderboard and figures of ``frame`` (one row per planned cell) into ``folder``.

    Clean models are in the records, but on no board; ``victims`` writes what there is to say of victims.

    Everything is made beside the old report and then moved over it, file by file: a report that fails
    midway leaves the old one as it was. Figures of an earlier report that this one lacks are removed.
    Raises OSError when the folder can't be written, ValueError for a cell with an unknown status.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = split(frame[frame["attack"].ne(NO_ATTACK)])
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as name:
        stage = Path(name)
        _write_records(frame, stage)
        if victims is not None:
            victims(stage)
        shown = _write_boards(frame, parts, stage)
        notes = _write_curves(parts, looks(_methods(frame), oracles(frame)), stage)
        paths = _publish(stage, folder)
    return Written(paths=paths, terminal=Group(shown, *map(Text, notes)))


def _methods(frame: pd.DataFrame) -> list[str]:
    return sorted(set(frame["defense"]) - {NO_DEFENSE})


def _write_records(frame: pd.DataFrame, folder: Path) -> None:
    ordered = frame.sort_values(
        RECORD_ORDER, key=lambda column: column.astype(str) if column.name == "target" else column
    )
    ordered.to_csv(folder / "records.csv", index=False, lineterminator="\n")


def _write_boards(frame: pd.DataFrame, parts: list[Part], folder: Path) -> RenderableType:
    boards = [board(part) for part in parts]
    numbers = pd.concat(map(leaderboard, parts)) if parts else leaderboard(Part("", "", frame))
    _write_numbers(numbers, folder / "leaderboard.csv")
    (folder / "leaderboard.md").write_text(tables.markdown(boards), encoding="utf-8")
    (folder / "leaderboard.tex").write_text(tables.latex(boards), encoding="utf-8")
    return tables.terminal(boards)


def _write_curves(parts: list[Part], look: dict[str, Look], folder: Path) -> list[str]:
    """Write one figure per part, with its data; return what a reader must know that they don't show."""
    notes = []
    for part in parts:
        stem = folder / (f"curves_{part.slug}" if len(parts) > 1 else "curves")
        if missing := curves.unplaced(part):
            notes.append(f"Figure {stem.name}: {', '.join(missing)} left out, samples per class unknown.")
        data = curves.curve_data(part)
        if figure := curves.draw(data, part, look):
            save(figure, stem)
            _write_numbers(data, stem.with_name(f"{stem.name}.csv"))
    return notes


def _write_numbers(table: pd.DataFrame, path: Path) -> None:
    """Write statistics with nine digits: more would differ between machines' last bits, and mean nothing."""
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.9g")


def _publish(stage: Path, folder: Path) -> list[Path]:
    """Move every staged file into the folder; return the new paths in order of their names."""
    paths = [made.replace(folder / made.name) for made in sorted(stage.iterdir())]
    for old in set(folder.glob("curves*")) - set(paths):
        old.unlink()
    return paths
