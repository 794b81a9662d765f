"""Published numbers beside a study's own: BackdoorBench's board, or a table of the user's.

A number is the counterpart of a cell if data set, architecture, attack, poison rate and defense are
the same by name; what else differs, the caption of an output says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.errors import UserError
from harness.report.frame.metric_info import SCORES

BACKDOORBENCH = Path(__file__).with_name("backdoorbench.parquet")
"""10,214 rows of BackdoorBench's published board, under the names of study files, in percent.

From the repository of its site (backdoorbench/backdoorbench.github.io at b98eab4): four data sets,
four architectures, five poison rates, ten attacks, sixteen defenses; without the rows that are
empty there.
"""
PROTOCOL = (
    "Published: BackdoorBench's board (its site's repository at b98eab4). Its defenses get 5 % of "
    "the training set and are tuned on test images, its rates count the whole training set, and "
    "each number is of one seed; widths and training recipes may differ."
)
NAMES = ["data", "model", "attack", "defense"]
MATCHED = [*NAMES, "rate"]


@dataclass(frozen=True)
class Published:
    """Published numbers, and what a caption says of them."""

    numbers: pd.DataFrame
    """Columns of ``MATCHED``, each row once, and acc, asr and ra in percent."""
    protocol: str


def read_published(file: Path | None) -> Published:
    """Return a user's table of published numbers; None: BackdoorBench's board.

    A CSV file with the columns data, model, attack, rate, defense, acc and asr, and perhaps ra:
    names as in study files, rates as shares, scores in percent.

    Raises:
        UserError: the file can't be read, lacks a column, or holds something else.
    """
    if file is None:
        return Published(pd.read_parquet(BACKDOORBENCH), PROTOCOL)
    try:
        table = pd.read_csv(file, dtype=str)
    except (OSError, ValueError) as error:
        raise UserError(f"--published {file}: {error}") from error
    missing = [name for name in (*MATCHED, "acc", "asr") if name not in table]
    if missing:
        raise UserError(f"--published {file}: no column {missing[0]!r}")
    table = table.reindex(columns=[*MATCHED, *SCORES])
    for name, largest in (("rate", 1), *((score, 100) for score in SCORES)):
        table[name] = _numbers(table, name, largest, file)
    table[NAMES] = table[NAMES].apply(lambda column: column.str.strip())
    repeated = table[table.duplicated(MATCHED)]
    if len(repeated):
        raise UserError(
            f"--published {file}: line {repeated.index.tolist()[0] + 2} repeats an earlier one"
        )
    return Published(table, f"Published: {file.name}.")


def _numbers(table: pd.DataFrame, name: str, largest: float, file: Path) -> pd.Series[float]:
    """Return a column as numbers from 0 to ``largest``."""
    numbers = pd.to_numeric(table[name], errors="coerce")
    wrong = ~numbers.between(0, largest) & table[name].notna()
    if wrong.any():
        line = wrong.tolist().index(True)
        raise UserError(
            f"--published {file}: line {line + 2}: {name} is {table[name].iloc[line]!r}; "
            f"a number from 0 to {largest} is needed"
        )
    return numbers
