"""ACC, ASR, RA and derived numbers: pure functions of predictions, recomputable without a GPU.

All are shares in [0, 1]. ASR and RA are taken on triggered test images whose true class is not the
attacker's class, so ASR + RA <= 1 (protocol of BackdoorBench, arXiv 2206.12654).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.labels import IntLabels


class Scores(NamedTuple):
    """Clean accuracy, attack success rate, robust accuracy."""

    acc: float
    asr: float
    ra: float


class DefenseMetrics(NamedTuple):
    """What a defense did, in one number each."""

    der: float
    rir: float
    arr: float
    rdr: float


class TrueLabels(NamedTuple):
    """The labels that predictions are compared with."""

    clean: IntLabels
    """True labels of the clean test images."""
    triggered: IntLabels
    """True labels of the triggered test images."""
    wanted: IntLabels
    """The label that the attacker wants for each triggered test image."""


def scores(clean: IntLabels, triggered: IntLabels, truth: TrueLabels) -> Scores:
    """Score predictions on the clean and on the triggered test images."""
    return Scores(acc=float(np.mean(clean == truth.clean)), **trigger_rates(triggered, truth))


def trigger_rates(triggered: IntLabels, truth: TrueLabels) -> dict[str, float]:
    """Return ASR and RA of predictions on the triggered test images."""
    return {
        "asr": float(np.mean(triggered == truth.wanted)),
        "ra": float(np.mean(triggered == truth.triggered)),
    }


def defense_metrics(before: Scores, after: Scores) -> DefenseMetrics:
    """Return DER, RIR, ARR and RDR: what a defense did, in one number each.

    DER = [max(0, fall of ASR) - max(0, fall of ACC) + 1] / 2 and RIR = [max(0, rise of RA) -
    max(0, fall of ACC) + 1] / 2 (BackdoorBench; 0.5 is no change, higher is better). ARR = 1 - ACC
    after / ACC before, RDR = 1 - RA after / ACC before (IMS, arXiv 2509.15497; lower is better, ARR
    can be negative).
    """
    cost = max(0.0, before.acc - after.acc)
    return DefenseMetrics(
        der=(max(0.0, before.asr - after.asr) - cost + 1) / 2,
        rir=(max(0.0, after.ra - before.ra) - cost + 1) / 2,
        arr=1 - after.acc / before.acc if before.acc else 0.0,
        rdr=1 - after.ra / before.acc if before.acc else 0.0,
    )


def auroc(negatives: NDArray[np.float64], positives: NDArray[np.float64]) -> float:
    """Return how often a score of ``positives`` (m,) exceeds one of ``negatives`` (n,).

    Ties count half.
    """
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float(np.mean(below + not_above) / (2 * len(negatives)))
