"""Mask anatomy: which channels of which layer a defense keeps, in its mask and in the inverse mask.

Drawn for every defense that keeps gates as artifacts named ``mask.<layer>`` and
``inverse.<layer>``, on the victims of the first seed, at the largest clean budget. Beside each
network stands what it can still do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.frame.groups import BoardGroup, budgets
from harness.report.frame.report_data import Arrays, ReportData
from harness.report.plotting.figure import ReportFigure
from harness.report.plotting.style import PAGE_WIDTH, RC

ATTACKS = 3
"""At most so many attacks are drawn; the data has all of them."""
KINDS = {"mask": "", "inverse": "_inverse"}
"""Kinds of gates, and where the scores of the network under them stand."""
BINS = 256


class MaskedCell(NamedTuple):
    """One cell and the gates that it kept."""

    cell: dict[Any, Any]
    gates: Arrays


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield one figure per data set, model and defense that keeps gates."""
    for part in source.parts:
        for defense, specimens in _specimens(part, source).items():
            stem = (
                f"anatomy_{part.slug}_{defense}" if len(source.parts) > 1 else f"anatomy_{defense}"
            )
            first = specimens[0].cell
            shown = ", ".join(str(one.cell["attack"]) for one in specimens[:ATTACKS])
            caption = (
                f"{defense} at {first['budget']}, seed {first['seed']}, on {shown}. Each row is a "
                "layer, from input to output, each column a channel; dark is cut, bright is kept. A layer's "
                "channels stand in one order in both panels, from what the mask cuts to what it keeps. "
                "The numbers count gates below 0.5."
            )
            title = f"Mask anatomy of {defense}, {part.title}"
            yield ReportFigure(
                _safe(stem), title, caption, anatomy_data(specimens), draw(specimens[:ATTACKS])
            )


def _specimens(part: BoardGroup, source: ReportData) -> dict[str, list[MaskedCell]]:
    """Return, per defense, one cell with gates for every attack: first seed and rate, largest budget."""
    largest = budgets(part.frame)[-1]
    cells = part.frame[part.frame["status"].eq("ok") & part.frame["budget"].eq(largest)]
    found: dict[str, list[MaskedCell]] = {}
    for (defense, _), rows in cells.sort_values(["rate", "seed"]).groupby(["defense", "attack"]):
        cell = rows.iloc[0].to_dict()
        gates = source.artifact(str(cell["key"]), "method") or {}
        if any(name.startswith("mask.") for name in gates):
            found.setdefault(str(defense), []).append(MaskedCell(cell, gates))
    return found


def layers(gates: Arrays, kind: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the gates of one kind by layer, in the order of the network."""
    start = f"{kind}."
    names = [name for name in gates if name.startswith(start)]
    return {name.removeprefix(start): gates[name].ravel() for name in sorted(names, key=_natural)}


def _natural(name: str) -> list[str | int]:
    """Order names as numbers count: layer2 before layer10, and so from input to output in most networks."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def anatomy_data(specimens: list[MaskedCell]) -> pd.DataFrame:
    """Return one row per attack, kind and layer: channels, gates below 0.5 and whose, mean gate; scores."""
    rows = [
        {
            **{
                name: one.cell[name]
                for name in ("data", "model", "defense", "attack", "rate", "budget", "seed")
            },
            **{
                "kind": kind,
                "layer": layer,
                "channels": len(gate),
                "below_half": int((gate < 0.5).sum()),
            },
            **{
                "mean_gate": float(gate.mean()),
                "which": " ".join(map(str, np.flatnonzero(gate < 0.5))),
            },
            **{name: one.cell.get(f"{name}{suffix}", np.nan) for name in ("acc", "asr", "ra")},
        }
        for one in specimens
        for kind, suffix in KINDS.items()
        for layer, gate in layers(one.gates, kind).items()
    ]
    return pd.DataFrame(rows)


def draw(specimens: list[MaskedCell]) -> Figure:
    """Return the figure: one row of panels per attack, one column per kind of gates."""
    kinds = [kind for kind in KINDS if any(layers(one.gates, kind) for one in specimens)]
    depth = len(layers(specimens[0].gates, "mask"))
    with mpl.rc_context(RC):
        width = PAGE_WIDTH if len(kinds) > 1 else 0.6 * PAGE_WIDTH
        height = len(specimens) * (0.35 + max(0.8, 0.095 * depth))
        figure = Figure(figsize=(width, 0.3 + height), layout="constrained")
        grid = figure.subplots(len(specimens), len(kinds), squeeze=False)
        for one, row in zip(specimens, grid, strict=True):
            for kind, axes in zip(kinds, row, strict=True):
                image = _panel(axes, one, kind, named=axes is row[0])
        bar = figure.colorbar(image, ax=grid, label="gate", fraction=0.02, pad=0.01, aspect=30)
        bar.outline.set_visible(False)
        bar.ax.grid(visible=False)
    return figure


def _panel(axes: Axes, one: MaskedCell, kind: str, *, named: bool) -> Any:
    found = layers(one.gates, kind)
    strips = np.stack(
        [_strip(gate, one.gates[f"mask.{name}"].ravel()) for name, gate in found.items()]
    )
    image = axes.imshow(
        strips, aspect="auto", cmap="cividis", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=5.5)
    axes.set_xticks([])
    axes.set_yticks(
        range(len(found)), [name.removeprefix("net.") if named else "" for name in found]
    )
    for place, gate in enumerate(found.values()):
        count = f"{int((gate < 0.5).sum())}/{len(gate)}"
        axes.annotate(
            count,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            fontsize=5.5,
            textcoords="offset points",
            va="center",
        )
    suffix = KINDS[kind]
    scores = "  ".join(
        f"{name.upper()} {100 * one.cell[f'{name}{suffix}']:.1f}" for name in ("acc", "asr")
    )
    axes.set_title(f"{one.cell['attack']}, {kind}: {scores}")
    return image


def _strip(gate: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a layer's gates in order of its mask, stretched to one width."""
    ordered: np.ndarray[Any, Any] = gate[np.argsort(mask, kind="stable")]
    return ordered[np.arange(BINS) * len(ordered) // BINS]


def _safe(stem: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in stem).strip(
        "-"
    )
