"""Lines with bands: ACC, ASR and RA against something on a log axis, one line per defense."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import display
from harness.report.plotting.style import REFERENCE, MethodStyle, legend_label

PANELS = {"acc": "ACC", "asr": "ASR", "ra": "RA"}


def panel(
    axes: Axes, data: pd.DataFrame, look: dict[str, MethodStyle], hollow: Mapping[str, str]
) -> None:
    """Draw one metric: reference, bands, lines, then the axis around the values of ``x`` that occur.

    ``data`` has the columns defense, x, mean, low, high (shares). No defense is the reference: a
    level line where its x is NaN.
    """
    percent = data.assign(**{name: 100 * data[name] for name in ("mean", "low", "high")})
    idle = percent["defense"].eq(NO_DEFENSE)
    _reference(axes, percent[idle & percent["mean"].notna()])
    curves = percent[~idle & percent["x"].notna() & percent["mean"].notna()].groupby("defense")
    alpha = min(0.14, 1 / max(1, len(curves)))  # many bands, each fainter
    for place, (method, curve) in enumerate(curves[["x", "mean", "low", "high"]]):
        name = str(method)
        dodge = _dodge(place, len(curves), len(curve))
        _curve(axes, curve, look[name], legend_label(name, hollow), dodge, alpha)
    _axis(axes, percent["x"].dropna())


def axis_start(data: pd.DataFrame, metric: str) -> float:
    """Return where the axis starts: 0, but for ACC, whose few points of difference matter, near the data."""
    if metric != "acc":
        return 0.0
    rows = data[data["metric"].eq("acc")]
    lowest = min(rows["mean"].min(), rows["low"].fillna(1).min())
    return float(np.clip(10 * np.floor(10 * lowest - 0.1), 0, 90))


def _reference(axes: Axes, rows: pd.DataFrame) -> None:
    for mean in rows.loc[rows["x"].isna(), "mean"]:
        axes.axhline(mean, label=display(NO_DEFENSE), **REFERENCE)
    curve = rows[rows["x"].notna()]
    if len(curve):
        axes.plot(curve["x"], curve["mean"], label=display(NO_DEFENSE), clip_on=False, **REFERENCE)


def _curve(
    axes: Axes, curve: pd.DataFrame, look: MethodStyle, label: str, dodge: float, alpha: float
) -> None:
    """Draw a line with its band, or one point with its error bar."""
    x, mean, low, high = curve.to_numpy(dtype=float).T
    x, low, high = x * dodge, low.clip(0, 100), high.clip(0, 100)
    if len(curve) > 1:
        axes.fill_between(x, low, high, color=look.color, alpha=alpha, linewidth=0)
    else:
        axes.vlines(x, low, high, color=look.color, linewidth=0.8)
    axes.plot(x, mean, label=label, clip_on=False, zorder=3, **look.line())


def _dodge(place: int, number: int, points: int) -> float:
    """Return the factor on x that sets lone points side by side; lines stay where they are."""
    if points > 1 or number == 1:
        return 1.0
    width = min(1.0, number / 10)  # in octaves
    return float(2 ** (width * (place / (number - 1) - 0.5)))


def _axis(axes: Axes, x: pd.Series[float]) -> None:
    ticks = sorted(set(x))
    axes.set_xscale("log")
    axes.set_xlim(ticks[0] / 1.6, ticks[-1] * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
