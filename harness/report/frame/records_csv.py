"""Reads a ``records.csv`` again: cells without the studies and the records that they came from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness.contract import Kind
from harness.errors import UserError
from harness.plan.names import NO_ATTACK
from harness.plan.registry import describe, names
from harness.report.frame.columns import CELL_COLUMNS, DERIVED_COLUMNS, VICTIM_COLUMNS
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.metric_info import SCORES, with_changes

TEXT = (
    *("study", "data", "model", "recipe", "attack", "target", "defense", "family", "needs"),
    *("budget", "status", "victim", "key", "error", "unclean", "target_class"),
)
ADDED: dict[str, bool | int | str] = {
    "draw": 0,
    "unclean": "",
    "shared": False,
    "target_class": "",
}
"""Columns that older files lack, and what they would have held."""
ATTACKED = "attacked"
"""Likewise; it follows from the attack."""


def read_cells(path: Path) -> pd.DataFrame:
    """Return the cells of a ``records.csv``, as ``build_frame`` made them.

    Raises:
        UserError: the file can't be read, or is no ``records.csv``.
    """
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""]
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error
    for name in CELL_COLUMNS.keys() - table.columns - {*ADDED, ATTACKED}:
        raise UserError(f"{path}: not a records.csv: no column {name!r}")
    cells = table.assign(**{name: x for name, x in ADDED.items() if name not in table})
    if ATTACKED not in table:
        cells = cells.assign(**{ATTACKED: cells["attack"].ne(NO_ATTACK)})
    cells = cells.fillna(dict.fromkeys(TEXT, ""))
    gate = cells["gate"].astype(object).where(cells["gate"].notna(), float("nan"))
    order = [*CELL_COLUMNS, *(name for name in cells if name not in CELL_COLUMNS)]
    plain = cells.assign(gate=gate)[[name for name in order if name not in DERIVED_COLUMNS]]
    return with_changes(plain)


def victims_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what cells say of their victims, with the columns of ``build_victims``."""
    victims = cells.drop_duplicates("victim").drop(columns=["key", *SCORES, "seconds", "error"])
    known = {"victim": "key", **{f"{name}_before": name for name in SCORES}}
    passed = victims["gate"].map({True: "passed", False: "not planted"}).fillna("unknown")
    victims = victims.rename(columns=known).assign(verdict=passed, status="ok", error="")
    victims["shared"] = False
    return victims.reindex(columns=list(VICTIM_COLUMNS))


def display_names(cells: pd.DataFrame) -> DisplayNames:
    """Return what readers see for the labels of built-in methods, with their settings behind."""
    columns: tuple[Kind, ...] = ("defense", "attack", "model")
    found: dict[tuple[str, str], str] = {}
    for column in columns:
        built_in = names(column)
        for label in cells[column].unique():
            name, space, settings = str(label).partition(" ")
            if name in built_in and name != "none":
                found[column, label] = describe(column, name).display_name + space + settings
    return DisplayNames(found)
