"""Means and their clustered intervals, as sums over numbered levels; the formula is in ``means``.

There are four levels. A *group* is what one mean is over; it has *conditions*. A *trial* is one
condition in one seed, a *cluster* one group in one seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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

    ``mean`` is NaN for a group without values; ``low`` and ``high`` also if nothing says how far
    values spread.
    """

    mean: Floats
    low: Floats
    high: Floats
    n_seeds: Codes
    n_conditions: Codes


def index_clusters(group: Codes, condition: Codes, seed: Codes, n_groups: int) -> ClusterIndex:
    """Number the trials and clusters of N values from their group, condition and seed, (N) each."""
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
    half = half * _quantile(seeds, index, level)
    half /= np.maximum(n_conditions, 1)
    n_seeds = np.bincount(index.group_of_cluster[np.unique(cluster)], minlength=index.n_groups)
    return Intervals(mean, mean - half, mean + half, n_seeds, n_conditions)


def _quantile(seeds: Codes, index: ClusterIndex, level: float) -> Floats:
    """Return Student's quantile per group; the condition with the fewest seeds decides."""
    fewest = np.full(index.n_groups, np.inf)
    np.minimum.at(fewest, index.group_of_condition[seeds > 0], seeds[seeds > 0])
    return np.asarray(stats.t.ppf((1 + level) / 2, fewest - 1))
