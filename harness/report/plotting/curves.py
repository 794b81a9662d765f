"""Lines with bands: ACC, ASR and RA against something on a log axis, one line per defense."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FixedLocator, NullLocator

from harness.plan.names import NO_DEFENSE
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, SCORES
from harness.report.plotting.style import REFERENCE, MethodStyle
from harness.report.stats.cluster_robust import Floats

PANELS = {name: QUANTITIES[name].label for name in SCORES}
"""The panels of a figure: metric and title."""


def draw_curves(
    axes: Axes, data: pd.DataFrame, styles: dict[str, MethodStyle], group: BoardGroup
) -> None:
    """Draw one metric: reference, bands, lines, then the axis around the values of ``x``.

    ``data`` has the columns defense, x, mean, low, high (shares). The undefended model is the
    reference: a horizontal line where its x is NaN.
    """
    percent = data.assign(**{name: 100 * data[name] for name in ("mean", "low", "high")})
    undefended = percent["defense"].eq(NO_DEFENSE)
    _reference(axes, percent[undefended & percent["mean"].notna()], group)
    drawn = percent[~undefended & percent["x"].notna() & percent["mean"].notna()]
    curves = drawn.groupby("defense")[["x", "mean", "low", "high"]]
    alpha = min(0.14, 1 / max(1, len(curves)))  # the more bands, the fainter
    bands = _Bands([], [])
    for index, (label, curve) in enumerate(curves):
        defense = str(label)
        dodge = _dodge(index, len(curves), len(curve))
        _curve(axes, curve, styles[defense], group.legend_label(defense), dodge, bands)
    axes.add_collection(
        PolyCollection(bands.outlines, facecolors=bands.colours, alpha=alpha, linewidth=0),
        autolim=False,
    )
    _set_axis(axes, percent["x"].dropna())


class _Bands(NamedTuple):
    """The intervals of a panel, drawn as one artist: of a hundred, each takes its time."""

    outlines: list[Floats]
    """(points, 2) each."""
    colours: list[str]


def axis_start(data: pd.DataFrame, metric: str) -> float:
    """Return where the y axis starts: 0, but near the data for ACC, which differs by few points."""
    if metric != "acc":
        return 0.0
    rows = data[data["metric"].eq("acc")]
    lowest = min(rows["mean"].min(), rows["low"].fillna(1).min())
    return float(np.clip(5 * np.floor(20 * lowest - 0.2), 0, 95))


def _reference(axes: Axes, rows: pd.DataFrame, group: BoardGroup) -> None:
    label = group.legend_label(NO_DEFENSE)
    for mean in rows.loc[rows["x"].isna(), "mean"]:
        axes.axhline(mean, label=label, **REFERENCE)
    curve = rows[rows["x"].notna()]
    if len(curve):
        axes.plot(curve["x"], curve["mean"], label=label, clip_on=False, **REFERENCE)


def _curve(
    axes: Axes, curve: pd.DataFrame, style: MethodStyle, label: str, dodge: float, bands: _Bands
) -> None:
    """Draw a line and add its band to those of the panel, or one point with its error bar."""
    x, mean, low, high = curve.to_numpy(dtype=float).T
    x, low, high = x * dodge, low.clip(0, 100), high.clip(0, 100)
    known = np.isfinite(low)
    if len(curve) == 1:
        axes.vlines(x, low, high, color=style.color, linewidth=0.8)
    elif known.any():
        there, back = (np.stack([x[known], y[known]], axis=1) for y in (low, high))
        bands.outlines.append(np.concatenate([there, back[::-1]]))
        bands.colours.append(style.color)
    axes.plot(x, mean, label=label, clip_on=False, **style.line())


def _dodge(index: int, n_curves: int, n_points: int) -> float:
    """Return the factor on x that sets single points side by side; lines are not moved."""
    if n_points > 1 or n_curves == 1:
        return 1.0
    width = min(1.0, n_curves / 10)  # in octaves
    return float(2 ** (width * (index / (n_curves - 1) - 0.5)))


def _set_axis(axes: Axes, x: pd.Series[float]) -> None:
    ticks = sorted(set(x))
    axes.set_xscale("log")
    axes.set_xlim(ticks[0] / 1.6, ticks[-1] * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
