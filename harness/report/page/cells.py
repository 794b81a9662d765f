"""The page's table of cells: one row each, whatever became of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report.quantities import QUANTITIES
from harness.report.source import Source
from harness.report.statistics import distinct, left_out

TEXTS = ["data", "model", "recipe", "attack", "rate", "target", "defense", "family", "needs", "budget", "seed"]
NUMBERS = ["acc", "asr", "ra", "der", "rir", "arr", "rdr", "seconds", "peak_mem_mb"]


def cell_rows(source: Source) -> dict[str, Any]:
    """Return columns and rows; ``state`` is ok, gate (left out with its victim) or the status."""
    cells = distinct(source.frame)
    cells["state"] = left_out(cells).where(lambda reason: reason.ne(""), "ok")
    cells["rate"] = cells["rate"].map(lambda rate: f"{100 * rate:g} %")
    cells["target"] = cells["target"].astype(str)
    columns = ["key", *TEXTS, "state", *NUMBERS, "victim"]
    numbers = cells[NUMBERS].map(lambda value: None if pd.isna(value) else float(f"{value:.5g}"))
    table = pd.concat([cells.drop(columns=NUMBERS), numbers.astype(object)], axis="columns")[columns]
    rows = [list(row) for row in table.astype(object).itertuples(index=False)]
    plain = [[value.item() if hasattr(value, "item") else value for value in row] for row in rows]
    metrics = {name: [QUANTITIES[name].label, QUANTITIES[name].share] for name in NUMBERS}
    return {"columns": columns, "metrics": metrics, "rows": plain}
