"""Means and their clustered intervals, as sums over numbered levels; the formula is in ``means``.

There are four levels. A *group* is what one mean is over; it has *conditions*. A *trial* is one
condition in one repeat, a *cluster* one group in one repeat.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]


class ClusterIndex(NamedTuple):
    """Which trial, condition, cluster and group each of N values belongs to."""

    trial: Codes
    """(N): the trial of each value."""
    condition: Codes
    """(trials): the condition of each trial."""
    cluster: Codes
    """(trials): the cluster of each trial."""
    group_of_condition: Codes
    """(conditions): the group of each condition."""
    group_of_cluster: Codes
    """(clusters): the group of each cluster."""
    n_groups: int


class Intervals(NamedTuple):
    """One number per group.

    ``mean`` is NaN for a group without values; ``low`` and ``high``, the interval, and ``lowest``
    and ``highest``, the range over its clusters, also if nothing says how far values spread.
    """

    mean: Floats
    low: Floats
    high: Floats
    lowest: Floats
    highest: Floats
    n_seeds: Codes
    n_conditions: Codes
    n_repeats: Codes
    """Repeats of the condition that has the fewest."""


def index_clusters(group: Codes, condition: Codes, seed: Codes, n_groups: int) -> ClusterIndex:
    """Number the trials and clusters of N values from their group, condition and repeat, (N) each.

    ``seed`` numbers the repeats, which are seeds or, where there is one seed, draws.
    """
    n_seeds = int(seed.max(initial=0)) + 1
    trials, first, trial = np.unique(
        condition * n_seeds + seed, return_index=True, return_inverse=True
    )
    _, first_trial, condition_of_trial = np.unique(
        trials // n_seeds, return_index=True, return_inverse=True
    )
    clusters, cluster = np.unique(group[first] * n_seeds + seed[first], return_inverse=True)
    return ClusterIndex(
        trial=trial,
        condition=condition_of_trial,
        cluster=cluster,
        group_of_condition=group[first][first_trial],
        group_of_cluster=clusters // n_seeds,
        n_groups=n_groups,
    )


def intervals(values: Floats, index: ClusterIndex, level: float) -> Intervals:
    """Return means, and intervals that hold with probability ``level``; values (N), NaN ignored."""
    known = ~np.isnan(values)
    counts = np.bincount(index.trial[known], minlength=len(index.condition))
    tried = counts > 0
    trial_mean = np.bincount(index.trial[known], values[known], len(counts))[tried] / counts[tried]
    condition, cluster = index.condition[tried], index.cluster[tried]
    seeds = np.bincount(condition, minlength=len(index.group_of_condition))
    met = seeds > 0
    with np.errstate(invalid="ignore"):  # 0/0 for a condition or group without values
        centre = np.bincount(condition, trial_mean, len(seeds)) / seeds
        n_conditions = np.bincount(index.group_of_condition[met], minlength=index.n_groups)
        total = np.bincount(index.group_of_condition[met], centre[met], index.n_groups)
        mean = total / n_conditions
    weight = np.sqrt(seeds / np.maximum(seeds - 1, 1)) / np.maximum(seeds, 1)
    deviation = (trial_mean - centre[condition]) * weight[condition]
    error = np.bincount(cluster, deviation, len(index.group_of_cluster))
    half = np.sqrt(np.bincount(index.group_of_cluster, error**2, index.n_groups))
    fewest = _fewest(seeds, index)
    half = half * stdtrit(np.where(fewest, fewest, np.inf) - 1, (1 + level) / 2)  # Student's t
    half /= np.maximum(n_conditions, 1)
    met_clusters = np.flatnonzero(np.bincount(cluster))
    n_seeds = np.bincount(index.group_of_cluster[met_clusters], minlength=index.n_groups)
    lowest, highest = _range(trial_mean - centre[condition], cluster, index)
    lowest, highest = (
        np.where(fewest > 1, mean + end / np.maximum(n_conditions, 1), np.nan)
        for end in (lowest, highest)
    )
    return Intervals(mean, mean - half, mean + half, lowest, highest, n_seeds, n_conditions, fewest)


def _fewest(seeds: Codes, index: ClusterIndex) -> Codes:
    """Return, per group, the repeats of the condition that has the fewest; 0 without values."""
    most = np.iinfo(np.intp).max
    fewest = np.full(index.n_groups, most)
    np.minimum.at(fewest, index.group_of_condition[seeds > 0], seeds[seeds > 0])
    return np.where(fewest == most, 0, fewest)


def _range(deviation: Floats, cluster: Codes, index: ClusterIndex) -> tuple[Floats, Floats]:
    """Return the smallest and the largest sum of deviations of a cluster, per group."""
    total = np.bincount(cluster, deviation, len(index.group_of_cluster))
    met = np.flatnonzero(np.bincount(cluster))
    lowest = np.full(index.n_groups, np.inf)
    np.minimum.at(lowest, index.group_of_cluster[met], total[met])
    highest = np.full(index.n_groups, -np.inf)
    np.maximum.at(highest, index.group_of_cluster[met], total[met])
    return lowest, highest
