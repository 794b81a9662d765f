"""Metrics against cases worked out by hand."""

import numpy as np
import pytest
import torch

from harness.contract import Goal
from harness.evaluation.metrics import (
    DefenseMetrics,
    Scores,
    TrueLabels,
    auroc,
    defense_metrics,
    scores,
)


def test_scores_by_hand():
    truth = TrueLabels(
        clean=np.array([0, 1, 2, 2]), triggered=np.array([1, 2, 2]), wanted=np.array([0, 0, 0])
    )
    found = scores(np.array([0, 1, 2, 0]), np.array([0, 2, 1]), truth)
    assert found == Scores(acc=0.75, asr=1 / 3, ra=1 / 3)


def test_combined_by_hand():
    found = defense_metrics(Scores(0.9, 1.0, 0.0), Scores(0.8, 0.1, 0.7))
    assert found.der == pytest.approx((0.9 - 0.1 + 1) / 2)
    assert found.rir == pytest.approx((0.7 - 0.1 + 1) / 2)
    assert found.arr == pytest.approx(1 - 0.8 / 0.9)
    assert found.rdr == pytest.approx(1 - 0.7 / 0.9)


def test_no_change_is_one_half_and_a_gain_of_acc_costs_nothing():
    before = Scores(0.9, 1.0, 0.0)
    assert defense_metrics(before, before) == DefenseMetrics(der=0.5, rir=0.5, arr=0.0, rdr=1.0)
    assert defense_metrics(before, Scores(0.95, 1.0, 0.0)).der == 0.5
    assert defense_metrics(before, Scores(0.95, 1.0, 0.0)).arr < 0


@pytest.mark.parametrize(
    ("target", "wanted"),
    [(2, [2, 2, 2, 2]), ("all-to-all", [1, 2, 3, 0]), ("all-to-all+3", [3, 0, 1, 2])],
)
def test_goals(target, wanted):
    goal = Goal(target, 0.1, 4)
    labels = torch.arange(4)
    assert goal.labels(labels).tolist() == wanted
    assert labels.tolist() == [0, 1, 2, 3]


def test_poison_counts():
    assert Goal(0, 0.1, 10).count(1345) == 134
    assert Goal(0, 0.0001, 10).count(1000) == 1


def test_auroc_by_hand():
    negatives, positives = np.array([0.1, 0.4, 0.4]), np.array([0.4, 0.9])
    assert auroc(negatives, positives) == pytest.approx((1 + 0.5 + 0.5 + 3) / 6)
    assert auroc(positives, positives) == 0.5
