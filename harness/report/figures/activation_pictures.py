"""Activation pictures: features of clean and triggered images, before and after defenses.

Drawn of what the probe ``features`` logged, which a study asks for.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, percent
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import legend_below
from harness.report.stats.means import is_counted

PROBE = "features"
MAX_ROWS, MAX_COLUMNS = 3, 5
"""The most attacks, and the most networks of each, that are drawn."""
KEYS = ["data", "model", "attack", "rate", "target", "defense", "budget", "seed", "asr"]
KINDS: dict[str, dict[str, Any]] = {
    "other classes": {"color": "0.78", "marker": "."},
    "target class": {"color": "#0072B2", "marker": "."},
    "triggered": {"color": "#D55E00", "marker": "x"},
}


@figure(title="Features, {group}")
def activation_pictures(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw the victims of the lowest seed and rate, without and with the best defenses."""
    cells = chosen_cells(group, report.probe_logs(PROBE), report.ranked_metric)
    if not cells:
        return None
    data = pd.concat([points.assign(**cell) for cell, points in cells], ignore_index=True)
    data = data[[*KEYS, *(name for name in data if name not in KEYS)]]
    caption = (
        f"Test images in the space of the features before the last layer, {_projection(report)}; "
        "one victim per attack, the largest clean budget. Where a backdoor is, triggered images "
        "leave their classes for the target class or beyond it."
    )
    alt = "; ".join(
        f"{group.names.of('attack', cell['attack'])}, {group.legend_label(cell['defense'])}: "
        f"ASR {percent(cell['asr'])}"
        for cell, _ in cells
    )
    return Drawing(data=data, figure=draw(data, group), caption=caption, alt=alt)


def _projection(report: ReportData) -> str:
    """Return how the features of the first probe that logged them became points."""
    hyper = next(x.hyper for study in report.studies for x in study.probes if x.name == PROBE)
    if hyper["projection"] == "tsne":
        return "by t-SNE of each network's own, which keeps neighbours and no distances"
    return "on the first two principal components of each network's own"


def chosen_cells(
    group: BoardGroup, logs: dict[str, list[dict[str, float]]], metric: str
) -> list[tuple[dict[Any, Any], pd.DataFrame]]:
    """Return the cells to draw, attack by attack, each with its points.

    Of each attack the undefended model, the paper's own method, and the best by the metric.
    """
    cells = group.frame[is_counted(group.frame) & group.frame["key"].isin(logs)]
    undefended = cells["defense"].eq(NO_DEFENSE)
    largest = cells[undefended | cells["budget"].eq(group.largest(group.budgets))]
    first = largest.sort_values(["rate", "seed", "draw"]).drop_duplicates(["attack", "defense"])
    defenses = _best_first(first, group, metric)[:MAX_COLUMNS]
    by_name = {(cell["attack"], cell["defense"]): cell for cell in first.to_dict("records")}
    return [
        ({name: cell[name] for name in KEYS}, pd.DataFrame(logs[cell["key"]]))
        for attack in sorted(set(first["attack"]))[:MAX_ROWS]
        for defense in defenses
        if (cell := by_name.get((attack, defense)))
    ]


def _best_first(cells: pd.DataFrame, group: BoardGroup, metric: str) -> list[str]:
    better = QUANTITIES[metric].better * cells.groupby("defense")[metric].mean()

    def order(defense: str) -> tuple[bool, bool, bool, float, str]:
        own = defense == group.paper.ours
        return (
            defense != NO_DEFENSE,
            not own,
            defense in group.extra_access,
            -better[defense],
            defense,
        )

    return sorted(better.index, key=order)


def draw(data: pd.DataFrame, group: BoardGroup) -> Figure:
    """Return the figure: a row per attack, a column per network."""
    attacks = list(dict.fromkeys(data["attack"]))
    defenses = list(dict.fromkeys(data["defense"]))
    width = group.paper.page_inches
    height = width / MAX_COLUMNS * len(attacks)
    fig = Figure(figsize=(width, 0.3 + height), layout="constrained")
    grid = fig.subplots(len(attacks), len(defenses), squeeze=False)
    for attack, row in zip(attacks, grid, strict=True):
        for defense, axes in zip(defenses, row, strict=True):
            points = data[data["attack"].eq(attack) & data["defense"].eq(defense)]
            axes.set_xticks([])
            axes.set_yticks([])
            if len(points):
                _draw_panel(axes, points, group.legend_label(defense))
        row[0].set_ylabel(group.names.of("attack", attack))
    legend_below(fig)
    return fig


def _draw_panel(axes: Axes, points: pd.DataFrame, name: str) -> None:
    of_target = points["label"].astype(int).astype(str).eq(points["target"].astype(str))
    triggered = points["triggered"].eq(1)
    kinds = (~triggered & ~of_target, ~triggered & of_target, triggered)
    for (label, style), rows in zip(KINDS.items(), kinds, strict=True):
        axes.plot(
            points["x"][rows], points["y"][rows], linestyle="", markersize=2.5, label=label, **style
        )
    axes.set_title(f"{name}\nASR {100 * points['asr'].iloc[0]:.1f}")
