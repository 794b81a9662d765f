"""Mask anatomy: which channels of each layer a defense keeps, in its mask and its inverse mask.

Drawn for every defense that keeps gates as artifacts named ``mask.<layer>`` and
``inverse.<layer>``, on the victims of the first seed, at the largest clean budget. Above each panel
are the scores of the network with these gates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.plan.keys import slug
from harness.plan.paper import LEAST_FONT_SIZE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import percent
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import print_width
from harness.store.record import Status
from harness.store.store import Arrays

MAX_ATTACKS = 3
"""The most attacks that are drawn; the data has all of them."""
KINDS = {"mask": "", "inverse": "_inverse"}
"""Kinds of gates, and the suffix of the scores of the network with them."""
STRIP_WIDTH = 256
"""To how many pixels the channels of a layer are stretched."""


class MaskedCell(NamedTuple):
    """One cell and the gates that it kept."""

    cell: dict[Any, Any]
    gates: Arrays


def _defenses(report: ReportData) -> Iterator[BoardGroup]:
    """Yield the finished cells of each defense at the largest budget, group by group."""
    for group in report.groups:
        cells = group.frame
        cells = cells[
            cells["status"].eq(Status.OK) & cells["budget"].eq(group.largest(group.budgets))
        ]
        for defense, rows in cells.sort_values(["rate", "seed"]).groupby("defense"):
            name = group.names.of("defense", str(defense))
            yield replace(
                group,
                title=f"{name}, {group.title}",
                slug=slug("_".join(filter(None, (group.slug, str(defense)))), "-", keep="._-"),
                frame=rows,
            )


@figure(title="Mask anatomy of {group}", groups=_defenses)
def anatomy(group: BoardGroup, report: ReportData) -> Drawing | None:
    """Draw a defense that keeps gates."""
    cells = _masked_cells(group.frame, report)
    if not cells:
        return None
    drawn, first = cells[:MAX_ATTACKS], cells[0].cell
    attacks = ", ".join(group.names.of("attack", one.cell["attack"]) for one in drawn)
    caption = (
        f"{group.names.of('defense', first['defense'])} at {first['budget']}, seed "
        f"{first['seed']}, on {attacks}. Each row is a layer, from input to output, each column a "
        "channel; dark is cut, bright is kept. A layer's channels have the same order in both "
        "panels, from what the mask cuts to what it keeps. The numbers count gates below 0.5."
    )
    data = anatomy_data(cells)
    return Drawing(data=data, figure=draw(drawn, group), caption=caption, alt=_seen(data, group))


def _seen(data: pd.DataFrame, group: BoardGroup) -> str:
    """Return how many channels each mask cuts, and what its network scores."""
    masks = data[data["kind"].eq("mask")].groupby("attack", sort=False)
    return "; ".join(
        f"{group.names.of('attack', str(attack))}: the mask cuts {rows['below_half'].sum()} of "
        f"{rows['channels'].sum()} channels, ACC {percent(rows['acc'].iloc[0])}, "
        f"ASR {percent(rows['asr'].iloc[0])}"
        for attack, rows in masks
    )


def _masked_cells(cells: pd.DataFrame, report: ReportData) -> list[MaskedCell]:
    """Return each attack's first cell (lowest rate, first seed), if it kept gates."""
    masked = []
    for _, rows in cells.groupby("attack"):
        cell = rows.iloc[0].to_dict()
        gates = _gates(report.artifact(str(cell["key"]), "method") or {})
        if any(name.startswith("mask.") for name in gates):
            masked.append(MaskedCell(cell, gates))
    return masked


def _gates(arrays: Arrays) -> Arrays:
    """Return the gates of a method's arrays: those of a layer's mask, and others of its size."""
    sizes = {name: x.size for name, x in arrays.items() if name.startswith("mask.") and x.size}
    return {
        name: x
        for name, x in arrays.items()
        if x.size == sizes.get(f"mask.{name.partition('.')[2]}")
    }


def layers(gates: Arrays, kind: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the gates of one kind by layer, in the order of the network."""
    prefix = f"{kind}."
    names = [name for name in gates if name.startswith(prefix)]
    return {name.removeprefix(prefix): gates[name].ravel() for name in sorted(names, key=_natural)}


def _natural(name: str) -> list[str | int]:
    """Sort key: layer2 before layer10, which in most networks is the order from input to output."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)]


def anatomy_data(cells: list[MaskedCell]) -> pd.DataFrame:
    """Return one row per attack, kind and layer.

    ``below_half`` counts the gates below 0.5, ``which`` lists their channels; the scores are those
    of the network with these gates.
    """
    rows = [
        {
            "data": one.cell["data"],
            "model": one.cell["model"],
            "defense": one.cell["defense"],
            "attack": one.cell["attack"],
            "rate": one.cell["rate"],
            "budget": one.cell["budget"],
            "seed": one.cell["seed"],
            "kind": kind,
            "layer": layer,
            "channels": len(gate),
            "below_half": int((gate < 0.5).sum()),
            "mean_gate": float(gate.mean()),
            "which": " ".join(map(str, np.flatnonzero(gate < 0.5))),
            "acc": one.cell.get(f"acc{suffix}", np.nan),
            "asr": one.cell.get(f"asr{suffix}", np.nan),
            "ra": one.cell.get(f"ra{suffix}", np.nan),
        }
        for one in cells
        for kind, suffix in KINDS.items()
        for layer, gate in layers(one.gates, kind).items()
    ]
    return pd.DataFrame(rows)


def draw(cells: list[MaskedCell], group: BoardGroup) -> Figure:
    """Return the figure: one row of panels per attack, one column per kind of gates."""
    kinds = [kind for kind in KINDS if any(layers(one.gates, kind) for one in cells)]
    n_layers = len(layers(cells[0].gates, "mask"))
    width = print_width(group.paper, 0, wide=len(kinds) > 1)
    height = len(cells) * (0.35 + max(0.8, 0.1 * n_layers))
    fig = Figure(figsize=(width, 0.3 + height), layout="constrained")
    grid = fig.subplots(len(cells), len(kinds), squeeze=False)
    for one, row in zip(cells, grid, strict=True):
        for kind, axes in zip(kinds, row, strict=True):
            attack = group.names.of("attack", one.cell["attack"])
            image = _draw_panel(axes, one, kind, attack, named=axes is row[0])
    bar = fig.colorbar(image, ax=grid, label="gate", fraction=0.02, pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
    return fig


def _draw_panel(axes: Axes, one: MaskedCell, kind: str, attack: str, *, named: bool) -> Any:
    gates = layers(one.gates, kind)
    strips = [_strip(gate, one.gates[f"mask.{name}"].ravel()) for name, gate in gates.items()]
    image = axes.imshow(
        np.stack(strips), aspect="auto", cmap="cividis", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=LEAST_FONT_SIZE)
    axes.set_xticks([])
    axes.set_yticks(
        range(len(gates)), [name.removeprefix("net.") if named else "" for name in gates]
    )
    for row, gate in enumerate(gates.values()):
        axes.annotate(
            f"{int((gate < 0.5).sum())}/{len(gate)}",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            fontsize=LEAST_FONT_SIZE,
            textcoords="offset points",
            va="center",
        )
    acc, asr = (100 * one.cell[f"{name}{KINDS[kind]}"] for name in ("acc", "asr"))
    axes.set_title(f"{attack}, {kind}: ACC {acc:.1f}  ASR {asr:.1f}")
    return image


def _strip(gate: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a layer's gates in the order of its mask, stretched to one width."""
    ordered: np.ndarray[Any, Any] = gate[np.argsort(mask, kind="stable")]
    return ordered[np.arange(STRIP_WIDTH) * len(ordered) // STRIP_WIDTH]
