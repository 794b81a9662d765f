"""Defenses compared with each other on the same victims and budgets.

The unit is the victim: a difference between two defenses is taken at every budget and draw that
both finished on a victim, and averaged over these, so that what was computed from one victim counts
once. Positive differences favour the first method, whatever the direction of the metric.
Over the victims, the Wilcoxon signed-rank test (two-sided, zeros left out) gives p, and Holm's
step-down procedure corrects it over the family: all pairs of one scope and metric. The effect size
is the matched-pairs rank-biserial correlation, (sum of positive ranks - sum of negative ranks) /
sum of ranks: 1 when the first method wins everywhere.

A rank is taken within one victim, budget and draw on which every ranked defense finished; ties
share their mean. Left out are victims that failed the gate, the undefended model, which is a
reference and no competitor, and oracle and external methods, which are given more than the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from harness.plan.names import NO_DEFENSE
from harness.report.frame.groups import budgets, extra_access
from harness.report.frame.metric_info import COMPARED, QUANTITIES
from harness.report.stats.cluster_robust import Codes, Floats
from harness.report.stats.means import is_counted

SIGNIFICANT = 0.05
EXACT = 50
"""The exact Wilcoxon distribution is used up to this many differences, if there are no ties."""


class Comparison(NamedTuple):
    """How one method does against another."""

    n: int
    """Victims."""
    wins: int
    ties: int
    losses: int
    difference: float
    """Mean over victims, in the metric's unit, positive in favour of the first; NaN without a
    victim."""


def compare(gaps: Floats) -> Comparison:
    """Count and average differences, one per victim."""
    wins, losses, n = int((gaps > 0).sum()), int((gaps < 0).sum()), len(gaps)
    return Comparison(n, wins, n - wins - losses, losses, float(gaps.mean()) if n else float("nan"))


def effects(family: Sequence[Floats]) -> Floats:
    """Return the rank-biserial correlation, -1..1, of each array of differences.

    NaN for an empty array, 0 if all differences are zero.
    """
    effect = np.array([0.0 if len(gaps) else float("nan") for gaps in family])
    for indices, nonzero in _by_length(family):
        ranked = stats.rankdata(np.abs(nonzero), axis=1)
        effect[indices] = (ranked * np.sign(nonzero)).sum(axis=1) / ranked.sum(axis=1)
    return effect


def signed_rank(family: Sequence[Floats]) -> Floats:
    """Return p of the Wilcoxon signed-rank test for each array of differences.

    NaN for an empty array, 1 if all differences are zero.
    """
    p = np.array([1.0 if len(gaps) else float("nan") for gaps in family])
    for indices, nonzero in _by_length(family):
        untied = (np.diff(np.sort(np.abs(nonzero), axis=1), axis=1) > 0).all(axis=1)
        exact = untied & (nonzero.shape[1] <= EXACT)
        methods: list[tuple[Any, Any]] = [("exact", exact), ("asymptotic", ~exact)]
        for method, rows in methods:
            if rows.any():
                p[indices[rows]] = stats.wilcoxon(nonzero[rows], axis=1, method=method).pvalue
    return p


def _by_length(family: Sequence[Floats]) -> Iterator[tuple[Codes, Floats]]:
    """Yield indices into the family and their nonzero differences, equally many in each array.

    scipy takes arrays of one length together, which makes a family of hundreds quick.
    """
    nonzero = [gaps[gaps != 0] for gaps in family]
    sizes = np.array([len(gaps) for gaps in nonzero])
    for size in np.unique(sizes[sizes > 0]):
        indices = np.flatnonzero(sizes == size)
        yield indices, np.stack([nonzero[index] for index in indices])


def holm(p: Sequence[float] | Floats) -> Floats:
    """Return p corrected over its family by Holm's procedure; NaN belongs to no family."""
    raw = np.asarray(p, dtype=float)
    corrected = np.full(len(raw), np.nan)
    order = np.argsort(raw)[: np.isfinite(raw).sum()]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1)
    return corrected


def competitors(cells: pd.DataFrame) -> pd.DataFrame:
    """Return every cell that counts and whose defense competes: what is compared and ranked."""
    excluded = {NO_DEFENSE, *extra_access(cells)}
    return cells[is_counted(cells) & ~cells["defense"].isin(excluded)]


def values(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per victim, budget, seed and draw, one column per defense with any number.

    NaN where a defense gave none. A victim that was trained here has one seed; an imported one is
    defended with each of the study's seeds.
    """
    known = cells[cells[metric].notna()]
    block = ["victim", "budget", "seed", "draw"]
    return known.pivot(index=block, columns="defense", values=metric)


def comparisons(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per pair of defenses.

    Columns: first, second, the fields of ``Comparison``, effect, p and p_holm.
    """
    table = values(cells, metric)
    pairs = list(itertools.combinations(table.columns, 2))
    victims = pd.factorize(table.index.get_level_values("victim"))[0]
    columns = {name: table[name].to_numpy() * QUANTITIES[metric].better for name in table.columns}
    gaps = [_per_victim(columns[first] - columns[second], victims) for first, second in pairs]
    rows = pd.DataFrame(map(compare, gaps), columns=list(Comparison._fields))
    rows.insert(0, "first", [first for first, _ in pairs])
    rows.insert(1, "second", [second for _, second in pairs])
    rows["effect"] = effects(gaps)
    p = signed_rank(gaps)
    return rows.assign(p=p, p_holm=holm(p))


def _per_victim(gap: Floats, victims: Codes) -> Floats:
    """Return the mean difference of each victim that has one; rounded, so that ties stay ties."""
    known = np.isfinite(gap)
    n = np.bincount(victims[known], minlength=1)
    total = np.bincount(victims[known], gap[known], minlength=1)
    return np.round(total[n > 0] / n[n > 0], 12)


def ranks(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return defense, rank (the mean; 1 is best), n_victims and n_blocks, best first.

    A block is a victim at a budget, seed and draw on which all of these defenses finished; a victim
    weighs the same however many blocks it has.
    """
    complete = values(cells, metric).dropna()
    within = complete.rank(axis="columns", ascending=QUANTITIES[metric].better < 0)
    per_victim = within.groupby("victim").mean()
    table = pd.DataFrame(
        {"rank": per_victim.mean(), "n_victims": len(per_victim), "n_blocks": len(complete)}
    )
    table.index.name = "defense"
    return table.sort_values(["rank", "defense"]).reset_index()


def scopes(cells: pd.DataFrame, labels: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return what is compared: the cells of each budget, and all together if there are several."""
    each = [(label, cells[cells["budget"].eq(label)]) for label in labels]
    return [*each, ("all budgets", cells)] if len(labels) > 1 else each


def in_every_scope(
    frame: pd.DataFrame, statistic: Callable[[pd.DataFrame, str], pd.DataFrame]
) -> pd.DataFrame:
    """Return ``statistic(cells, metric)`` of every scope and compared metric, below each other.

    The statistic is ``ranks`` or ``comparisons``; columns scope and metric come first.
    """
    tables = [
        statistic(cells, metric).assign(scope=scope, metric=metric)
        for scope, cells in scopes(competitors(frame), budgets(frame))
        for metric in COMPARED
    ]
    if not tables:
        return pd.DataFrame(columns=["scope", "metric"])
    filled = [table for table in tables if len(table)] or tables[:1]
    whole = pd.concat(filled, ignore_index=True)
    first = ["scope", "metric"]
    return whole[[*first, *(name for name in whole.columns if name not in first)]]
