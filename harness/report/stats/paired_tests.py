"""Methods held against each other on the same victims and budgets.

The unit is the victim: a difference between two defenses is taken at every budget that both
finished on a victim, and averaged over these budgets, so that what was computed from one victim
counts once. Positive differences favour the first method, whatever the direction of the metric.
Over the victims, the Wilcoxon signed-rank test (two-sided, zeros left out) gives p, and Holm's
step-down procedure corrects it over the family: all pairs of one scope and metric. The effect size
is the matched-pairs rank-biserial correlation, (sum of positive ranks - sum of negative ranks) /
sum of ranks: 1 when the first method wins everywhere.

A rank is taken within one victim and budget on which every ranked defense finished; ties share
their mean. Victims that failed the gate are left out, and so is the undefended model, a reference
and not a competitor, and the oracle and external methods, which are given more than the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from harness.plan.spec import NO_DEFENSE
from harness.report.frame.groups import extra_access
from harness.report.frame.metric_info import QUANTITIES
from harness.report.stats.cluster_robust import Codes, Floats

SIGNIFICANT = 0.05
EXACT = 50
"""With so many differences at most, and no two of one size, the distribution is taken as it is."""


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
    """Return what one difference per victim comes to."""
    wins, losses, n = int((gaps > 0).sum()), int((gaps < 0).sum()), len(gaps)
    return Comparison(n, wins, n - wins - losses, losses, float(gaps.mean()) if n else float("nan"))


def effects(family: Sequence[Floats]) -> Floats:
    """Return the rank-biserial correlation, -1..1, of each array of differences.

    NaN where there is no difference, 0 where all are zero.
    """
    found = np.array([0.0 if len(gaps) else float("nan") for gaps in family])
    for places, moved in _of_one_length(family):
        ranks = stats.rankdata(np.abs(moved), axis=1)
        found[places] = (ranks * np.sign(moved)).sum(axis=1) / ranks.sum(axis=1)
    return found


def signed_rank(family: Sequence[Floats]) -> Floats:
    """Return p of the Wilcoxon signed-rank test for each array of differences.

    NaN where there is no difference to test, 1 where all are zero.
    """
    p = np.array([1.0 if len(gaps) else float("nan") for gaps in family])
    for places, moved in _of_one_length(family):
        untied = (np.diff(np.sort(np.abs(moved), axis=1), axis=1) > 0).all(axis=1)
        exact = untied & (moved.shape[1] <= EXACT)
        methods: list[tuple[Any, Any]] = [("exact", exact), ("asymptotic", ~exact)]
        for method, rows in methods:
            if rows.any():
                p[places[rows]] = stats.wilcoxon(moved[rows], axis=1, method=method).pvalue
    return p


def _of_one_length(family: Sequence[Floats]) -> Iterator[tuple[Codes, Floats]]:
    """Yield places in the family and their differences that are not zero, as many in each array.

    Arrays of one length go through scipy together, which is what makes a family of hundreds quick.
    """
    moved = [gaps[gaps != 0] for gaps in family]
    sizes = np.array([len(gaps) for gaps in moved])
    for size in np.unique(sizes[sizes > 0]):
        places = np.flatnonzero(sizes == size)
        yield places, np.stack([moved[place] for place in places])


def holm(p: Sequence[float] | Floats) -> Floats:
    """Return p corrected over its family by Holm's procedure; NaN belongs to no family."""
    given = np.asarray(p, dtype=float)
    corrected = np.full(len(given), np.nan)
    order = np.argsort(given)[: np.isfinite(given).sum()]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return corrected


def competitors(cells: pd.DataFrame) -> pd.DataFrame:
    """Return every cell that counts and whose defense competes: what is compared and ranked below."""
    apart = {NO_DEFENSE, *extra_access(cells)}
    return cells[cells["reason"].eq("") & ~cells["defense"].isin(apart)]


def values(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per victim, budget and seed, one column per defense that gave any number; else NaN.

    A victim that was trained here has one seed; one that was imported is repaired with each of the
    study's.
    """
    counted = cells[cells[metric].notna()]
    return counted.pivot(index=["victim", "budget", "seed"], columns="defense", values=metric)


def comparisons(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per two defenses: first, second, the fields of ``Comparison``, effect, p and p_holm."""
    table = values(cells, metric)
    pairs = list(itertools.combinations(table.columns, 2))
    victims = pd.factorize(table.index.get_level_values("victim"))[0]
    columns = {name: table[name].to_numpy() * QUANTITIES[metric].better for name in table.columns}
    gaps = [_per_victim(columns[first] - columns[second], victims) for first, second in pairs]
    found = pd.DataFrame(map(compare, gaps), columns=list(Comparison._fields))
    found.insert(0, "first", [first for first, _ in pairs])
    found.insert(1, "second", [second for _, second in pairs])
    found["effect"] = effects(gaps)
    p = signed_rank(gaps)
    return found.assign(p=p, p_holm=holm(p))


def _per_victim(gap: Floats, victims: Codes) -> Floats:
    """Return the mean difference of each victim that has one; rounded, so that equal sums stay equal."""
    known = np.isfinite(gap)
    n = np.bincount(victims[known], minlength=1)
    total = np.bincount(victims[known], gap[known], minlength=1)
    return np.round(total[n > 0] / n[n > 0], 12)


def ranks(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return defense, rank (the mean; 1 is best), n_victims and n_blocks, best first.

    A block is a victim at a budget and seed on which all of these defenses finished; a victim
    weighs the same however many blocks it has.
    """
    complete = values(cells, metric).dropna()
    within = complete.rank(axis="columns", ascending=QUANTITIES[metric].better < 0)
    per_victim = within.groupby("victim").mean()
    found = pd.DataFrame(
        {"rank": per_victim.mean(), "n_victims": len(per_victim), "n_blocks": len(complete)}
    )
    found.index.name = "defense"
    return found.sort_values(["rank", "defense"]).reset_index()


def scopes(frame: pd.DataFrame, labels: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return what comparisons are made within: every budget, and all of them where there are several."""
    each = [(label, frame[frame["budget"].eq(label)]) for label in labels]
    return [*each, ("all budgets", frame)] if len(labels) > 1 else each
