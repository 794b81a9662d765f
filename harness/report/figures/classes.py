"""ASR per source class: which true classes the trigger still moves, per defense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import (
    BoardGroup,
    budgets,
    extra_access,
)
from harness.report.frame.report_data import Arrays, ReportData
from harness.report.plotting.figure import ReportFigure, stem
from harness.report.plotting.heatmap import ROW, colour_bar, draw_heat
from harness.report.plotting.style import PAGE_WIDTH, RC, legend_label

MOST = 2000
"""Of more cells, this many evenly spread ones are looked into: each is a file of its own."""
COLUMNS = ["data", "model", "recipe", "budget", "defense", "class"]


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set and model whose records keep predictions and true labels."""
    for part in source.parts:
        counted = _counted(part)
        seen = _some(counted)
        data = class_data(seen, source)
        if len(data):
            caption = (
                f"ASR in percent by true class at {budgets(part.frame)[-1]}, means over attacks, poison "
                f"rates and seeds, {len(seen):,} of {len(counted):,} cells; low (dark) is good. The target "
                "class has no triggered images."
            )
            title = f"ASR per source class, {part.title}"
            yield ReportFigure(
                stem("classes", part, source), title, caption, data, draw(data, part)
            )


def class_data(cells: pd.DataFrame, source: ReportData) -> pd.DataFrame:
    """Return ASR (a share) per defense and true class, and over how many of the cells."""
    truths: dict[str, Arrays | None] = {}
    rows: list[dict[str, Any]] = []
    for cell in cells.to_dict("records"):
        victim, key = str(cell["victim"]), str(cell["key"])
        if victim not in truths:
            truths[victim] = source.artifact(victim, "predictions")
        rows += _hits(cell, truths[victim], source.artifact(key, "predictions"))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "asr"])
    grouped = table.groupby(COLUMNS)["asr"].agg(["mean", "size"])
    return grouped.rename(columns={"mean": "asr", "size": "n_cells"}).reset_index()


def _counted(part: BoardGroup) -> pd.DataFrame:
    """Return the cells that count, at the largest budget."""
    cells = part.frame
    return cells[cells["reason"].eq("") & cells["budget"].eq(budgets(cells)[-1])]


def _some(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells, or some of every defense's where they are very many."""
    stride = -(-len(cells) // MOST) or 1
    return cells[cells.groupby("defense").cumcount() % stride == 0]


def _hits(
    cell: dict[Any, Any], victim: Arrays | None, arrays: Arrays | None
) -> list[dict[str, Any]]:
    """Return one cell's ASR per true class; nothing where it kept no predictions, or its victim no truth."""
    if victim is None or arrays is None or "truth_triggered" not in victim:
        return []
    truth = victim["truth_triggered"].astype(int)
    hit = np.bincount(truth, arrays["triggered"] == victim["truth_wanted"])
    size = np.bincount(truth)
    place = {name: cell[name] for name in COLUMNS[:-1]}
    return [{**place, "class": int(c), "asr": hit[c] / size[c]} for c in np.flatnonzero(size)]


def draw(data: pd.DataFrame, part: BoardGroup) -> Figure:
    """Return the figure of ``class_data``: rows defenses, the lowest mean first, columns classes."""
    apart = extra_access(part.frame)
    table = 100 * data.pivot_table(index="defense", columns="class", values="asr")
    mean = table.mean(axis="columns")
    order = sorted(
        table.index, key=lambda name: (name != NO_DEFENSE, name in apart, mean[name], name)
    )
    shown = table.loc[order].rename(index=lambda name: legend_label(name, apart))
    with mpl.rc_context(RC):
        width = min(PAGE_WIDTH, 1.9 + 0.26 * len(table.columns))
        figure = Figure(figsize=(max(3.4, width), 0.55 + ROW * len(table)), layout="constrained")
        axes = figure.subplots()
        image = draw_heat(axes, shown, upright=True)
        axes.set_xlabel("true class")
        colour_bar(figure, image, axes, "ASR (%)")
    return figure
