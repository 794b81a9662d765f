"""Means with 95 % intervals over repeats, and the count of every cell that a mean leaves out.

A *condition* is what is averaged over inside a group: one data set, model, recipe, attack, poison
rate, target, defense and budget. A condition is met once per seed, in as many seeds as gave a
number.

Three levels repeat a condition: seeds, each with a victim, clean samples and random numbers of its
own; imported victims, which are conditions, since each is an attack; and draws, other clean samples
for the same victim. Values of one victim's draws are averaged first, so that they count once. A
seed is the repeat. Where all cells have one seed, the repeat is the draw, and the interval says how
far the clean samples move the result on these victims, and nothing about others.

With C conditions in a group, n_c seeds for condition c, and y_cs the value of condition c in seed
s::

    mean  = 1/C * sum_c ybar_c                                 every condition weighs the same
    u_s   = sum_c sqrt(n_c / (n_c - 1)) * (y_cs - ybar_c) / (C * n_c)  what seed s adds to the error
    half  = t(0.975, min_c n_c - 1) * sqrt(sum_s u_s^2)

A seed is the cluster: all that was computed from one seed (and so from one victim) stays together
in u_s. When every seed has every condition, this is exactly Student's t interval over the per-seed
means. When one lacks an attack that the others have, the mean of per-seed means would shift with
the difficulty of that attack; this mean doesn't. The spread is then the bias-reduced clustered one
(CR2, Bell and McCaffrey 2002), with the fewest degrees of freedom that any condition offers. A
condition met in one seed alone says nothing about spread: the interval is NaN.

An interval of a share is cut at the ends of what the share can be, which costs no coverage. With
fewer than three repeats Student's quantile is 12.7 and the interval says nothing: readers are then
shown the range over the repeats, ``lowest`` to ``highest``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from harness.contract import Quantity
from harness.plan.names import PlanStatus
from harness.report.frame.groups import GROUP
from harness.report.frame.metric_info import QUANTITIES
from harness.report.stats.cluster_robust import ClusterIndex, Codes, index_clusters, intervals
from harness.store.record import FAILED, Status

CONDITION = [*GROUP, "attack", "rate", "target", "defense", "budget"]
ENOUGH = 3
"""The fewest repeats whose interval is shown."""
REASONS = ["gate", *map(str, (PlanStatus.SKIP, *FAILED, PlanStatus.MISSING)), "undefined"]
"""Why a mean leaves a cell out."""
COUNTED = ["", *REASONS]
"""What a cell's ``reason`` can be; "" for a cell that counts."""


def deduplicate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each cell once, in the form that all statistics take.

    A cell that two studies share counts once, with its finished record if either has one. The order
    doesn't depend on the frame's: sums are then bitwise the same. Two columns are added:
    ``reason``, why every mean leaves the cell out (see ``exclusion_reason``), and ``condition``,
    the number of its condition.
    """
    once = frame
    if not frame["key"].is_unique:
        finished_first = frame.assign(_open=frame["status"].ne(Status.OK)).sort_values(
            ["key", "_open", "study"]
        )
        once = finished_first.drop_duplicates("key").drop(columns="_open")
    cells = once.sort_values([*CONDITION, "seed", "draw", "key"], key=_sortable).reset_index(
        drop=True
    )
    return cells.assign(
        reason=pd.Categorical(exclusion_reason(cells), categories=COUNTED),
        condition=cells.groupby(CONDITION, dropna=False, sort=False).ngroup(),
    )


def is_counted(cells: pd.DataFrame) -> pd.Series[bool]:
    """Tell, per cell of ``deduplicate``, whether it counts: finished, on a victim that passed."""
    return cells["reason"].eq("")


def summarize(
    cells: pd.DataFrame,
    by: Sequence[str],
    metrics: Sequence[str],
    level: float = 0.95,
    quantities: Mapping[str, Quantity] = QUANTITIES,
) -> pd.DataFrame:
    """Return one row per group of ``by`` and metric, in the metric's unit and the cells' order.

    ``cells`` are those of ``deduplicate``, or some of them; within a condition every column of
    ``by`` has one value. ``level`` is the probability that an interval holds.

    ``quantities`` says what the metrics are, for the ends of their intervals.

    Columns: ``by``, metric, mean, low, high, lowest, highest (NaN when unknown), n_seeds (repeats),
    n_conditions, n_repeats (of the condition with the fewest), n_cells
    (used), n_planned, then one count per entry of ``REASONS``; n_cells and the counts add up to
    n_planned. ``undefined`` counts finished cells without this metric.
    """
    heads, group = _groups(cells, list(by))
    condition, seed = (
        cells["condition"].to_numpy(dtype=np.intp),
        pd.factorize(cells[repeat_level(cells)])[0],
    )
    index = index_clusters(group, condition, seed, len(heads))
    reason = cells["reason"].cat.codes.to_numpy().astype(np.intp)
    tables = []
    for metric in metrics:
        numbers = _summary(cells[metric].to_numpy(dtype=float), reason, group, index, level)
        if metric in quantities:
            ends = numbers[["low", "high"]].clip(quantities[metric].least, quantities[metric].most)
            numbers = numbers.assign(low=ends["low"], high=ends["high"])
        tables.append(pd.concat([heads.assign(metric=metric), numbers], axis="columns"))
    return pd.concat(tables, ignore_index=True)


def repeat_level(cells: pd.DataFrame) -> str:
    """Return the column that numbers the repeats: ``seed``, or ``draw`` where there is one seed."""
    return "seed" if cells["seed"].nunique() > 1 else "draw"


def summarize_bands(cells: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Return what ``summarize`` does, without the intervals of fewer than ENOUGH repeats."""
    summary = summarize(cells, by, metrics)
    few = summary["n_repeats"].lt(ENOUGH)
    return summary.assign(**{end: summary[end].mask(few) for end in ("low", "high")})


def exclusion_reason(frame: pd.DataFrame) -> pd.Series[str]:
    """Return, per cell, why every mean leaves it out: ``gate`` or its status; "" if it counts.

    If a victim's attack failed the gate, all of its cells are left out, whether they were run or
    not planted; an unknown gate (NaN) leaves none out. Raises ValueError for a status that is
    neither ok nor a known reason.
    """
    unknown = set(frame["status"].unique()) - {Status.OK, PlanStatus.NOT_PLANTED, *REASONS}
    if unknown:
        known = ", ".join([Status.OK, *REASONS])
        raise ValueError(f"unknown status {sorted(unknown)}; known: {known}")
    status = frame["status"].astype(object)
    return status.where(status.ne(Status.OK), "").mask(failed_gate(frame), "gate")


def failed_gate(frame: pd.DataFrame) -> pd.Series[bool]:
    """Tell, per cell, whether its victim's attack is known to have failed."""
    return frame["gate"].astype(object).eq(False)


def _sortable(column: pd.Series) -> pd.Series:
    return column.astype(str) if column.dtype == object else column


def _groups(cells: pd.DataFrame, by: list[str]) -> tuple[pd.DataFrame, Codes]:
    """Return the groups, and the number of each cell's group.

    Found by condition, because there are far fewer conditions than cells.
    """
    first = cells.drop_duplicates("condition")
    group = first.groupby(by, dropna=False, sort=False).ngroup().to_numpy(dtype=np.intp)
    group_of = np.zeros(int(first["condition"].max()) + 1 if len(first) else 0, dtype=np.intp)
    group_of[first["condition"]] = group
    return first.drop_duplicates(by)[by].reset_index(drop=True), group_of[cells["condition"]]


def _summary(
    values: np.ndarray, reason: Codes, group: Codes, index: ClusterIndex, level: float
) -> pd.DataFrame:
    """Return mean, interval and counts of one metric, one row per group."""
    reason = np.where((reason == 0) & np.isnan(values), COUNTED.index("undefined"), reason)
    size = len(COUNTED)
    flat = np.bincount(group * size + reason, minlength=index.n_groups * size)
    counts = pd.DataFrame(flat.reshape(index.n_groups, size), columns=["n_cells", *REASONS])
    counts.insert(1, "n_planned", counts.sum(axis="columns"))
    means = intervals(np.where(reason == 0, values, np.nan), index, level)
    return pd.concat([pd.DataFrame(means._asdict()), counts], axis="columns")
