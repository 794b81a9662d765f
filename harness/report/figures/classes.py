"""ASR per true class: which source classes the trigger still moves, per defense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.errors import UserError
from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import GROUP, BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.plotting.alt_text import range_text
from harness.report.plotting.heatmap import MAX_TICKS, ROW_HEIGHT, colour_bar, draw_heat
from harness.report.plotting.style import TALLEST, print_width
from harness.report.stats.means import is_counted
from harness.store.store import Arrays

LABEL_WIDTH, COLUMN_WIDTH, LETTER = 1.6, 0.18, 0.055
"""Inches at the side of a row, of one class, and of a letter of a class's name."""
SHORT = 2
"""The most letters of a name that stands upright."""
MAX_CELLS = 2000
"""The most cells that are read, since each is a file; of more, evenly spread ones."""
KEYS = [*GROUP, "budget", "defense"]


@figure(title="ASR per source class, {group}")
def classes(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw a group whose records keep predictions and true labels."""
    counted = _counted_cells(group)
    cells = _sample_cells(counted)
    data = class_data(cells, report)
    if data.empty:
        return None
    used = data.groupby("defense")["n_cells"].max().sum()
    caption = (
        f"ASR in percent by true class at {group.largest(group.budgets)}, means over attacks, "
        f"poison rates and seeds, {used:,} of {len(counted):,} cells; low (dark) is good. The "
        "target class has no triggered images."
    )
    names = names_of_classes(group, report)
    if names:
        data = data.assign(class_name=[names[number] for number in data["class"]])
    means = data.groupby("defense")["asr"].mean()
    alt = f"Means over classes: {range_text(means, 'asr', group)}."
    return Drawing(data=data, figure=draw(data, group, names), caption=caption, alt=alt)


def names_of_classes(group: BoardGroup, report: ReportData) -> tuple[str, ...]:
    """Return the names of the classes of a group's data set; empty where they are unknown."""
    victims = set(group.frame["victim"].unique())
    found = (
        victim.data.class_names
        for study in report.studies
        for key, victim in study.defended.items()
        if key in victims
    )
    return next(found, ())


def class_data(cells: pd.DataFrame, report: ReportData) -> pd.DataFrame:
    """Return ASR (a share) per defense and true class, and over how many of the cells."""
    labels: dict[str, Arrays | None] = {}
    rows: list[dict[str, Any]] = []
    for cell in cells.to_dict("records"):
        victim, key = str(cell["victim"]), str(cell["key"])
        if victim not in labels:
            labels[victim] = report.artifact(victim, "predictions")
        rows += _cell_rows(cell, labels[victim], report.artifact(key, "predictions"))
    table = pd.DataFrame(rows, columns=[*KEYS, "class", "asr"])
    grouped = table.groupby([*KEYS, "class"])["asr"].agg(["mean", "size"])
    return grouped.rename(columns={"mean": "asr", "size": "n_cells"}).reset_index()


def _counted_cells(group: BoardGroup) -> pd.DataFrame:
    """Return the cells that count, at the largest budget."""
    cells = group.frame
    return cells[is_counted(cells) & cells["budget"].eq(group.largest(group.budgets))]


def _sample_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return MAX_CELLS at most (or a few more), of every defense evenly."""
    stride = -(-len(cells) // MAX_CELLS) or 1
    return cells[cells.groupby("defense").cumcount() % stride == 0]


def _cell_rows(
    cell: dict[Any, Any], labels: Arrays | None, predictions: Arrays | None
) -> list[dict[str, Any]]:
    """Return one cell's ASR per true class; nothing if predictions or true labels were not kept."""
    if labels is None or predictions is None or "truth_triggered" not in labels:
        return []
    truth, wanted = labels["truth_triggered"].astype(int), labels.get("truth_wanted")
    predicted = predictions.get("triggered")
    if wanted is None or predicted is None or not truth.shape == wanted.shape == predicted.shape:
        raise UserError(f"cell {cell['key']}: its predictions are not of its victim's test images")
    hits = np.bincount(truth, predicted == wanted)
    sizes = np.bincount(truth)
    keys = {name: cell[name] for name in KEYS}
    return [{**keys, "class": int(c), "asr": hits[c] / sizes[c]} for c in np.flatnonzero(sizes)]


def draw(data: pd.DataFrame, group: BoardGroup, names: Sequence[str] = ()) -> Figure:
    """Return the figure of ``class_data``: rows defenses, lowest mean first; columns classes.

    Classes are shown by their names, by their numbers where there are too many or no names.
    """
    table = 100 * data.pivot_table(index="defense", columns="class", values="asr")
    mean = table.mean(axis="columns")

    def order(defense: str) -> tuple[bool, bool, float, str]:
        return defense != NO_DEFENSE, defense in group.extra_access, mean[defense], defense

    table = table.loc[sorted(table.index, key=order)].rename(index=group.legend_label)
    needed = LABEL_WIDTH + COLUMN_WIDTH * len(table.columns)
    width = print_width(group.paper, 0, wide=needed > group.paper.column_inches)
    named = bool(names) and len(table.columns) <= MAX_TICKS
    shown = [names[int(x)] if named else str(x) for x in table.columns]
    longest = max(map(len, shown))
    upright = longest <= SHORT or not named
    rows = min(ROW_HEIGHT * len(table), TALLEST - 1.5)
    height = 0.55 + rows + (0 if upright else LETTER * longest)
    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots()
    image = draw_heat(axes, table.set_axis(shown, axis="columns"), upright=upright)
    axes.set_xlabel("true class")
    colour_bar(fig, image, axes, "ASR (%)")
    return fig
