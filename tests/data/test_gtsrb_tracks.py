"""Frames of one GTSRB track are numbered by file name, and stay together in validation splits."""

import numpy as np
import pytest
import torch

from harness.contract import Budget
from harness.data.augment import Augment
from harness.data.cache import prepare
from harness.data.device_dataset import load_to_device
from harness.data.gtsrb_tracks import number_tracks
from harness.data.info import open_groups
from harness.data.options import DataOptions
from harness.toolbox.holdout import hold_out
from tests.helpers.dataset_archives import write_gtsrb
from tests.helpers.tiny_victims import context


def test_tracks_are_numbered_within_their_class():
    names = [
        "Train/00000/00003_00000.ppm",
        "00003_00029.webp",
        "00004_00000.ppm",
        "00003_00001.ppm",
    ]
    labels = np.array([0, 0, 0, 1])
    assert number_tracks(names, labels).tolist() == [0, 0, 1, 2]
    assert number_tracks([*names[:3], "cat.png"], labels) is None


def test_gtsrb_keeps_its_tracks_and_other_sets_have_none(tmp_path):
    write_gtsrb(tmp_path / "gtsrb")
    info = prepare("gtsrb", DataOptions(), tmp_path, tmp_path / "cache")
    assert open_groups(info).tolist() == [0, 0, 0, 1, 1, 1]
    assert load_to_device(info, torch.device("cpu")).train_groups.tolist() == [0, 0, 0, 1, 1, 1]
    own = prepare("mine", DataOptions(path=str(tmp_path / "gtsrb")), None, tmp_path / "other")
    assert load_to_device(own, torch.device("cpu")).train_groups is None


def budget(groups):
    n = len(groups)
    labels = torch.arange(n) % 2
    return Budget(torch.rand(n, 1, 4, 4), labels, 2, Augment(), None, torch.tensor(groups))


@pytest.mark.parametrize(("per_track", "expected"), [(1, 1), (5, 5), (2, 2)])
def test_a_track_goes_to_one_side(per_track, expected):
    groups = [
        2 * (row // (2 * per_track)) + row % 2 for row in range(20)
    ]  # ten images of each class
    train, val = hold_out(budget(groups), 0.1, context())
    assert set(train.groups.tolist()).isdisjoint(val.groups.tolist())
    assert torch.bincount(val.labels).tolist() == [expected, expected]
    assert len(train) + len(val) == 20


def test_one_track_alone_is_split_through():
    train, val = hold_out(budget([row % 2 for row in range(20)]), 0.1, context())
    assert torch.bincount(val.labels).tolist() == [1, 1]
    assert len(train) == 18
