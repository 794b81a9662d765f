"""Labels are classes, numbered from 0 without a gap; anything else is refused in one line."""

import shutil

import pytest

from tests.helpers.small_datasets import (
    TEST,
    TRAIN,
    assert_refused,
    image_dataset,
    parquet_dataset,
    png,
    write_parquet,
)


@pytest.mark.parametrize(
    ("labels", "kind", "match"),
    [
        ([0, 0, -1, 0, 1, 1, 1, 1], "int64", r"row 2: no label \(found -1\)"),
        ([0, 0, None, 0, 1, 1, 1, 1], "int64", r"row 2: no label \(found None\)"),
        (list("aaaabbbb"), "string", "labels must be integers or class labels, found string"),
        ([0.0] * 4 + [1.0] * 4, "float64", "labels must be integers or class labels, found"),
        ([1] * 8, "int64", "a, train: all images are of class 1"),
        ([0, 0, 0, 0, 2, 2, 2, 2], "int64", "class 1 has no image; labels must run from 0"),
        ([10**9] * 4 + [1] * 4, "int64", "class 0 has no image; labels must run from 0"),
    ],
)
def test_bad_labels(tmp_path, cache, labels, kind, match):
    options = parquet_dataset(tmp_path / "a")
    write_parquet(tmp_path / "a" / "train.parquet", [png(x) for x in TRAIN], labels, kind=kind)
    if kind != "int64":
        write_parquet(
            tmp_path / "a" / "test.parquet", [png(x) for x in TEST], labels[2:6], kind=kind
        )
    assert_refused(match, options, cache)


def test_a_test_label_that_training_lacks(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    write_parquet(tmp_path / "a" / "test.parquet", [png(x) for x in TEST], [0, 1, 2, 0])
    assert_refused(r"row 2: label 2, but the training classes are 0\.\.1", options, cache)


def test_a_class_folder_without_training_images(tmp_path, cache):
    options = image_dataset(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "test" / "dog", tmp_path / "a" / "test" / "emu")
    assert_refused("the class 'emu' has images in 'test', but none in 'train'", options, cache)


@pytest.mark.parametrize("name", ["dog\n\x1b[2J", "d" * 201])
def test_a_name_of_a_class_that_no_terminal_shows(tmp_path, cache, name):
    options = image_dataset(tmp_path / "a", ("cat", name))
    assert_refused("needs a name of at most 200 letters without control characters", options, cache)
