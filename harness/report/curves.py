"""Budget curves: ACC, ASR and RA against the clean samples per class, one line per defense."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from harness.report.parts import NO_DEFENSE, Part, budgets, display, oracles
from harness.report.statistics import summarize
from harness.report.style import PAGE_WIDTH, RC, REFERENCE, Look, legend_below

PANELS = {"acc": "ACC", "asr": "ASR", "ra": "RA"}


def curve_data(part: Part) -> pd.DataFrame:
    """Return what the figure draws: the statistics (shares) per budget, defense and metric, with its spc.

    No defense needs no images: its lines pool all budgets, under the budget "all", with spc NaN.
    """
    frame = part.frame.assign(spc=part.frame["budget"].map(samples_per_class(part.frame)))
    columns = ["data", "model", "recipe", "defense"]
    idle = frame["defense"].eq(NO_DEFENSE)
    reference = summarize(frame[idle].assign(spc=np.nan), [*columns, "spc"], list(PANELS))
    reference.insert(4, "budget", "all")
    placed = frame[~idle & frame["spc"].notna()]
    lines = summarize(placed, [*columns, "budget", "spc"], list(PANELS))
    data = lines.sort_values(["defense", "metric", "spc", "budget"])
    return pd.concat([part for part in (reference, data) if len(part)] or [data], ignore_index=True)


def samples_per_class(frame: pd.DataFrame) -> pd.Series[float]:
    """Return each budget's clean samples per class.

    By label. A ratio budget is its images divided by the classes of the data set, known where another
    budget is per class; else NaN.
    """
    sizes = frame.groupby("budget")[["spc", "n_clean"]].min().astype(float)
    classes = (sizes["n_clean"] / sizes["spc"]).max()
    return sizes["spc"].fillna(sizes["n_clean"] / classes)


def unplaced(part: Part) -> list[str]:
    """Return the budgets that have no place on the axis."""
    spc = samples_per_class(part.frame)
    return [label for label in budgets(part.frame) if pd.isna(spc[label])]


def draw(data: pd.DataFrame, part: Part, look: dict[str, Look]) -> Figure | None:
    """Return the figure of ``curve_data``, or None when no defense has a number to draw."""
    lines = data[data["spc"].notna() & data["mean"].notna()]
    if lines.empty:
        return None
    apart = oracles(part.frame)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(PAGE_WIDTH, 2.15), layout="constrained")
        for axes, (metric, name) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
            _panel(axes, data[data["metric"].eq(metric)], look, apart)
            axes.set(title=f"{name} (%)", xlabel="clean samples per class", ylim=(_floor(data, metric), 100))
        legend_below(figure)
    return figure


def _panel(axes: Axes, data: pd.DataFrame, look: dict[str, Look], apart: set[str]) -> None:
    """Draw one metric: reference, bands, lines, then the axis around the budgets that occur."""
    percent = data.assign(**{name: 100 * data[name] for name in ("mean", "low", "high")})
    for mean in percent.loc[percent["spc"].isna(), "mean"].dropna():
        axes.axhline(mean, label=display(NO_DEFENSE), **REFERENCE)
    drawn = percent[percent["spc"].notna() & percent["mean"].notna()]
    methods = sorted(set(drawn["defense"]))
    for place, method in enumerate(methods):
        curve = drawn[drawn["defense"].eq(method)]
        label = f"{method} (oracle)" if method in apart else method
        alpha = min(0.14, 1 / len(methods))  # many bands, each fainter
        _curve(axes, curve, look[method], label, _dodge(place, len(methods), curve), alpha)
    _axis(axes, percent["spc"].dropna())


def _curve(axes: Axes, curve: pd.DataFrame, look: Look, label: str, dodge: float, alpha: float) -> None:
    """Draw a line with its band, or one point with its error bar."""
    x, low, high = curve["spc"] * dodge, curve["low"].clip(0, 100), curve["high"].clip(0, 100)
    if len(curve) > 1:
        axes.fill_between(x, low, high, color=look.color, alpha=alpha, linewidth=0)
    else:
        axes.vlines(x, low, high, color=look.color, linewidth=0.8)
    axes.plot(x, curve["mean"], label=label, clip_on=False, zorder=3, **look.line())


def _dodge(place: int, number: int, curve: pd.DataFrame) -> float:
    """Return the factor on x that sets lone points side by side; lines stay where they are."""
    if len(curve) > 1 or number == 1:
        return 1.0
    width = min(1.0, number / 10)  # in octaves
    return float(2 ** (width * (place / (number - 1) - 0.5)))


def _floor(data: pd.DataFrame, metric: str) -> float:
    """Return where the axis starts: 0, but for ACC, whose few points of difference matter, near the data."""
    if metric != "acc":
        return 0.0
    rows = data[data["metric"].eq("acc")]
    lowest = min(rows["mean"].min(), rows["low"].fillna(1).min())
    return float(np.clip(10 * np.floor(10 * lowest - 0.1), 0, 90))


def _axis(axes: Axes, spc: pd.Series[float]) -> None:
    ticks = sorted(set(spc))
    axes.set_xscale("log")
    axes.set_xlim(ticks[0] / 1.6, ticks[-1] * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
