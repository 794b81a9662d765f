"""Backdoors and cross samples of a record are told apart."""

import numpy as np
import pytest

from harness.bridges.backdoorbench.inspect_record import split_poison_kinds
from harness.bridges.backdoorbench.read_record import ChangedSamples
from tests.helpers.backdoorbench_records import TARGET


@pytest.mark.parametrize("target", [TARGET, "all-to-all"])
def test_backdoors_and_cross_samples_are_told_apart(target):
    labels = np.array([0, 1, 2, 0, 1, 2])
    sent = np.array([TARGET] * 3) if target == TARGET else (labels[:3] + 1) % 3

    def kinds(wanted):
        train = ChangedSamples(np.arange(6) * 10, wanted, labels, [])
        return [indices.tolist() for indices in split_poison_kinds(train, labels, target)]

    with_cross = kinds(np.concatenate([sent, labels[3:]]))
    if target == TARGET:
        assert with_cross == [[0, 20], [30, 50], [10, 40]]
    else:
        assert with_cross == [[0, 10, 20], [30, 40, 50], []]


def test_a_clean_label_attack_poisons_the_target_class_alone():
    labels = np.full(4, TARGET)
    train = ChangedSamples(np.arange(4), labels, labels, [])
    assert [len(x) for x in split_poison_kinds(train, labels, TARGET)] == [4, 0, 0]
