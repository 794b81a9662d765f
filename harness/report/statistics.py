"""Means with 95 % intervals over seeds, and the count of every cell that a mean leaves out.

A *condition* is what is averaged over inside a group: one data set, model, recipe, attack, poison rate,
target, defense and budget. A condition is met once per seed, in as many seeds as gave a number.

With C conditions in a group, n_c seeds for condition c, and y_cs the value of condition c in seed s::

    mean  = 1/C * sum_c ybar_c                                 every condition weighs the same
    u_s   = sum_c sqrt(n_c / (n_c - 1)) * (y_cs - ybar_c) / (C * n_c)  what seed s adds to the error
    half  = t(0.975, min_c n_c - 1) * sqrt(sum_s u_s^2)

A seed is the cluster: all that was computed from one seed (and so from one victim) stays together in u_s.
When every seed has every condition, this is exactly Student's t interval over the per-seed means.
When one lacks an attack that the others have, the mean of per-seed means would shift with the difficulty of
that attack; this mean doesn't. The spread is then the bias-reduced clustered one (CR2, Bell and McCaffrey
2002), with the fewest degrees of freedom that any condition offers. A condition met in one seed alone says
nothing about spread: the interval is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

CONDITION = ["data", "model", "recipe", "attack", "rate", "target", "defense", "budget"]
REASONS = ["gate", "skip", "error", "timeout", "crash", "oom", "missing", "undefined"]


def summarize(
    frame: pd.DataFrame, by: Sequence[str], metrics: Sequence[str], level: float = 0.95
) -> pd.DataFrame:
    """Return one row per group of ``by`` and metric, in the metric's own unit, groups in sorted order.

    ``level`` is the probability that an interval holds.

    Columns: ``by``, metric, mean, low, high (NaN when nothing is known), n_seeds, n_conditions, n_cells
    (used), n_planned, then one count per entry of ``REASONS``; n_cells and the counts add up to n_planned.
    ``undefined`` counts finished cells without this metric. Raises ValueError for a status that is neither
    ok nor a known reason.
    """
    cells = distinct(frame)
    cells["reason"] = left_out(cells)
    cells["condition"] = _number(cells, CONDITION)
    cells["group"] = _number(cells, list(by))
    heads = cells.drop_duplicates("group").set_index("group")[list(by)]
    parts = [heads.join(_summary(cells, metric, level)).assign(metric=metric) for metric in metrics]
    order = [
        *by,
        "metric",
        "mean",
        "low",
        "high",
        "n_seeds",
        "n_conditions",
        "n_cells",
        "n_planned",
        *REASONS,
    ]
    return pd.concat(parts, ignore_index=True)[order]


def distinct(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each cell once, in an order that doesn't depend on the frame's: sums are then bitwise the same.

    A cell that two studies share counts once, with its finished record if either has one.
    """
    once = frame
    if not frame["key"].is_unique:
        open_first = frame.assign(_open=frame["status"].ne("ok")).sort_values(["key", "_open", "study"])
        once = open_first.drop_duplicates("key").drop(columns="_open")
    return once.sort_values([*CONDITION, "seed", "key"], key=_sortable).reset_index(drop=True)


def left_out(frame: pd.DataFrame) -> pd.Series[str]:
    """Return, per cell, why it is left out of every mean: ``gate`` or its status; "" when it counts.

    A victim whose attack failed the gate takes all of its cells with it; an unknown gate (NaN) does not.
    """
    unknown = set(frame["status"]) - {"ok", *REASONS}
    if unknown:
        raise ValueError(f"unknown status {sorted(unknown)}; known: ok, {', '.join(REASONS)}")
    status = frame["status"].astype(object)
    return status.where(status.ne("ok"), "").mask(failed_gate(frame), "gate")


def failed_gate(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return, per cell, whether its victim's attack is known to have failed."""
    return frame["gate"].astype(object).eq(False)


def _sortable(column: pd.Series) -> pd.Series:
    return column.astype(str) if column.dtype == object else column


def _number(cells: pd.DataFrame, columns: list[str]) -> pd.Series[int]:
    return cells.groupby(columns, dropna=False, sort=False).ngroup()


def _summary(cells: pd.DataFrame, metric: str, level: float) -> pd.DataFrame:
    """Return mean, interval and counts of one metric, indexed by group."""
    undefined = cells["reason"].eq("") & cells[metric].isna()
    reason = cells["reason"].mask(undefined, "undefined")
    counts = _counts(cells["group"], reason)
    used = cells[reason.eq("")].assign(value=cells[metric].astype(float))
    table = counts.rename(columns={"": "n_cells"}).join(_intervals(used, level))
    whole = ["n_seeds", "n_conditions"]
    table[whole] = table[whole].fillna(0).astype(int)
    return table


def _counts(group: pd.Series[int], reason: pd.Series[str]) -> pd.DataFrame:
    """Return how many cells of each group have each reason, and n_planned; groups are numbered from 0."""
    columns = ["", *REASONS]
    codes = pd.Categorical(reason, categories=columns).codes.astype(int)
    width, height = len(columns), int(group.max()) + 1 if len(group) else 0
    flat = np.bincount(group.to_numpy(dtype=int) * width + codes, minlength=width * height)
    counts = pd.DataFrame(flat.reshape(height, width), columns=columns)
    counts.index.name = "group"
    return counts.assign(n_planned=counts.sum(axis="columns"))


def _intervals(used: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return mean, low, high, n_seeds and n_conditions by group; the formula is the module's."""
    value = used.groupby(["group", "condition", "seed"])["value"].mean()
    condition = value.groupby(["group", "condition"])
    seeds = condition.transform("size")
    n_conditions = condition.size().groupby("group").size()
    mean = condition.mean().groupby("group").mean()
    score = (value - condition.transform("mean")) / seeds * np.sqrt(seeds / (seeds - 1).clip(lower=1))
    by_seed = score.groupby(["group", "seed"]).sum()
    error = np.sqrt(by_seed.pow(2).groupby("group").sum()) / n_conditions
    half = error * stats.t.ppf((1 + level) / 2, condition.size().groupby("group").min() - 1)
    n_seeds = by_seed.groupby("group").size()
    columns = {"mean": mean, "low": mean - half, "high": mean + half}
    return pd.DataFrame({**columns, "n_seeds": n_seeds, "n_conditions": n_conditions})
