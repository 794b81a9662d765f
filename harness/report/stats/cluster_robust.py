"""Means and their clustered intervals, as sums over numbered levels; ``statistics`` has the formula."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]


class Levels(NamedTuple):
    """Where values stand: value (N) in a trial, trial (T) in a condition and a cluster, those in a group.

    A trial is a condition in one seed, a cluster a group in one seed.
    """

    trial: Codes
    condition: Codes
    """Of each trial."""
    cluster: Codes
    """Of each trial."""
    groups: Codes
    """The group of each condition."""
    clusters: Codes
    """The group of each cluster."""
    n: int
    """Groups."""


class Intervals(NamedTuple):
    """One number per group; NaN where there is no value, and of low and high where nothing tells a spread."""

    mean: Floats
    low: Floats
    high: Floats
    n_seeds: Codes
    n_conditions: Codes


def levels(group: Codes, condition: Codes, seed: Codes, n: int) -> Levels:
    """Number the levels of values whose group (of ``n``), condition and seed are given, (N) each."""
    seeds = int(seed.max(initial=0)) + 1
    trials, first, trial = np.unique(
        condition * seeds + seed, return_index=True, return_inverse=True
    )
    _, at, of = np.unique(trials // seeds, return_index=True, return_inverse=True)
    clusters, cluster = np.unique(group[first] * seeds + seed[first], return_inverse=True)
    return Levels(trial, of, cluster, group[first][at], clusters // seeds, n)


def intervals(values: Floats, at: Levels, level: float) -> Intervals:
    """Return means and intervals that hold with probability ``level``; values (N) of NaN don't count."""
    known = ~np.isnan(values)
    times = np.bincount(at.trial[known], minlength=len(at.condition))
    met = times > 0
    value = np.bincount(at.trial[known], values[known], len(times))[met] / times[met]
    condition, cluster = at.condition[met], at.cluster[met]
    seeds = np.bincount(condition, minlength=len(at.groups))
    there = seeds > 0
    with np.errstate(invalid="ignore"):  # 0/0 where a condition or group has no value
        centre = np.bincount(condition, value, len(seeds)) / seeds
        n_conditions = np.bincount(at.groups[there], minlength=at.n)
        mean = np.bincount(at.groups[there], centre[there], at.n) / n_conditions
    weight = np.sqrt(seeds / np.maximum(seeds - 1, 1)) / np.maximum(seeds, 1)
    score = np.bincount(cluster, (value - centre[condition]) * weight[condition], len(at.clusters))
    half = np.sqrt(np.bincount(at.clusters, score**2, at.n)) * _quantile(seeds, at, level)
    half /= np.maximum(n_conditions, 1)
    n_seeds = np.bincount(at.clusters[np.unique(cluster)], minlength=at.n)
    return Intervals(mean, mean - half, mean + half, n_seeds, n_conditions)


def _quantile(seeds: Codes, at: Levels, level: float) -> Floats:
    """Return Student's quantile of each group, with the degrees of freedom of its least met condition."""
    least = np.full(at.n, np.inf)
    np.minimum.at(least, at.groups[seeds > 0], seeds[seeds > 0])
    return np.asarray(stats.t.ppf((1 + level) / 2, least - 1))
