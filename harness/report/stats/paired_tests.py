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
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.report.frame.groups import budgets, extra_access
from harness.report.frame.metric_info import COMPARED, QUANTITIES
from harness.report.stats.cluster_robust import Codes, Floats
from harness.report.stats.means import is_counted

BLOCK = ["victim", "budget", "seed", "draw"]
"""Within one, defenses are compared."""
SIGNIFICANT = 0.05
EXACT = 50
"""The exact Wilcoxon distribution is used up to this many differences, if there are no ties."""


class Comparison(NamedTuple):
    """How methods do against others: one entry per pair."""

    n: Codes
    """Victims."""
    wins: Codes
    ties: Codes
    losses: Codes
    difference: Floats
    """Mean over victims, in the metric's unit, positive in favour of the first; NaN without a
    victim."""
    effect: Floats
    """Rank-biserial correlation, -1..1: 0 if all differences are zero, NaN without a victim."""
    p: Floats
    """The Wilcoxon signed-rank test's: 1 if all differences are zero, NaN without a victim."""


def compare(gaps: Floats) -> Comparison:
    """Compare pairs of methods by their differences (pairs, victims); NaN where there is none."""
    n = np.isfinite(gaps).sum(axis=1)
    wins, losses = (gaps > 0).sum(axis=1), (gaps < 0).sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0/0 for a pair without a victim
        difference = np.nansum(gaps, axis=1) / n
    effect, p = (np.where(n > 0, x, np.nan) for x in signed_rank(np.nan_to_num(gaps)))
    return Comparison(n, wins, n - wins - losses, losses, difference, effect, p)


def signed_rank(gaps: Floats) -> tuple[Floats, Floats]:
    """Return effect and p of each row of differences; zeros are left out, 0 and 1 of nothing else.

    With W the sum of the signed ranks r, effect is W / sum r. By chance W has mean 0 and variance
    sum r^2, so p is that of the normal W / sqrt(sum r^2), or of the exact distribution.
    """
    from scipy import stats  # takes half a second: where it is needed alone

    zero = gaps == 0
    rank = stats.rankdata(np.abs(gaps), axis=1) - zero.sum(axis=1, keepdims=True)
    rank[zero] = 0
    w, total, squares = (rank * np.sign(gaps)).sum(axis=1), rank.sum(axis=1), (rank**2).sum(axis=1)
    effect, z = w / np.maximum(total, 1), w / np.sqrt(np.maximum(squares, 1))
    p = 2 * stats.norm.sf(np.abs(z))
    n = (~zero).sum(axis=1)
    untied = squares == n * (n + 1) * (2 * n + 1) / 6  # ties that share their mean have less
    exact = untied & (n > 0) & (n <= EXACT)
    if exact.any():
        p[exact] = stats.wilcoxon(gaps[exact], axis=1, method="exact").pvalue
    return effect, p


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
    known = cells.loc[cells[metric].notna(), [*BLOCK, "defense", metric]]
    return known.pivot(index=BLOCK, columns="defense", values=metric)


def comparisons(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per pair of defenses.

    Columns: first, second, the fields of ``Comparison``, and p_holm.
    """
    table = values(cells, metric)
    pairs = list(itertools.combinations(table.columns, 2))
    names = pd.DataFrame(pairs, columns=["first", "second"])
    victims = pd.factorize(table.index.get_level_values("victim"))[0]
    numbers = table.to_numpy().T * QUANTITIES[metric].better
    found = compare(_gaps(numbers, victims))
    return names.assign(**found._asdict(), p_holm=holm(found.p))


def _gaps(numbers: Floats, victims: Codes) -> Floats:
    """Return the mean difference of each pair of defenses on each victim, (pairs, victims).

    ``numbers`` are (defenses, blocks), ``victims`` (blocks) tells whose each block is. NaN where a
    pair has no block in common. Rounded, so that ties stay ties.
    """
    n_victims = int(victims.max(initial=-1)) + 1
    gaps = [np.empty((0, n_victims))]
    for at, row in enumerate(numbers):
        gap = row - numbers[at + 1 :]
        known = np.isfinite(gap)
        place = victims + n_victims * np.arange(len(gap))[:, None]
        size = len(gap) * n_victims
        n = np.bincount(place[known], minlength=size)
        total = np.bincount(place[known], gap[known], size)
        with np.errstate(invalid="ignore"):  # 0/0
            gaps.append(np.round(total / n, 12).reshape(-1, n_victims))
    return np.concatenate(gaps)


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
    competing = competitors(frame)[[*BLOCK, "defense", *COMPARED]]
    tables = [
        statistic(cells, metric).assign(scope=scope, metric=metric)
        for scope, cells in scopes(competing, budgets(frame))
        for metric in COMPARED
    ]
    if not tables:
        return pd.DataFrame(columns=["scope", "metric"])
    filled = [table for table in tables if len(table)] or tables[:1]
    whole = pd.concat(filled, ignore_index=True)
    first = ["scope", "metric"]
    return whole[[*first, *(name for name in whole.columns if name not in first)]]
