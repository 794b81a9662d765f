"""Image folders and the embedded digits."""

import json
import sys

import numpy as np
import pytest

from harness.data.cache import default_cache, prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from tests.helpers.small_datasets import assert_refused, image_dataset, parquet_dataset


def test_image_folder_gives_the_same_digest_and_its_own_names(tmp_path, cache):
    one = prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    two = prepare("mine", image_dataset(tmp_path / "b"), None, cache)
    assert one.digest == two.digest
    assert two.class_names == ("cat", "dog")
    assert prepare("mine", DataOptions(path=str(tmp_path / "a")), None, cache).class_names == (
        "0",
        "1",
    )
    assert one.identity() == two.identity()
    json.dumps(one.identity())


def test_numbered_class_folders_keep_their_numbers(tmp_path, cache):
    info = prepare("mine", image_dataset(tmp_path / "b", names=("9", "10")), None, cache)
    assert info.class_names == ("9", "10")


def test_digits():
    pytest.importorskip("sklearn")
    info = prepare("digits", DataOptions(), None, default_cache())
    arrays = open_arrays(info)
    assert (info.classes, info.shape, info.test_count) == (10, (1, 8, 8), 445)
    assert info.train_counts == (134, 137, 133, 138, 136, 137, 136, 135, 131, 135)
    assert (arrays.train_images.min(), arrays.train_images.max()) == (0, 255)
    assert info.mean == (round(float(np.concatenate(arrays[::2]).mean()) / 255, 4),)


def test_digits_without_scikit_learn(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert_refused(
        r"needs scikit-learn; run: pip install 'defuse-bench\[digits\]'",
        DataOptions(),
        cache,
        "digits",
    )
