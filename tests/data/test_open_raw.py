"""Image folders and the embedded digits."""

import json
import re

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
    info = prepare("digits", DataOptions(), None, default_cache())
    arrays = open_arrays(info)
    assert (info.classes, info.shape, info.test_count) == (10, (1, 8, 8), 445)
    assert info.train_counts == (134, 137, 133, 138, 136, 137, 136, 135, 131, 135)
    assert (arrays.train_images.min(), arrays.train_images.max()) == (0, 255)
    assert info.mean == (round(float(np.concatenate(arrays[::2]).mean()) / 255, 4),)


def test_a_class_that_only_the_test_split_has(tmp_path, cache):
    options = image_dataset(tmp_path / "b")
    (tmp_path / "b" / "test" / "dog").rename(tmp_path / "b" / "test" / "dogs")
    message = "the class 'dogs' has images in 'test', but none in 'train'; did you mean 'dog'?"
    assert_refused(re.escape(message), options, cache)


@pytest.mark.parametrize(
    "place", ["train/dog/more", "train/dog/more/yet", "test/cat/x.png", "train"]
)
def test_an_image_outside_of_a_class_folder_is_not_passed_over(tmp_path, cache, place):
    options = image_dataset(tmp_path / "b")
    (tmp_path / "b" / place).mkdir(parents=True, exist_ok=True)
    image = next((tmp_path / "b" / "train" / "dog").glob("*.png"))
    image.rename(tmp_path / "b" / place / "z.PNG")
    assert_refused(
        rf"{place}/z.PNG: an image that belongs directly in a class folder", options, cache
    )


def test_hidden_folders_and_other_files_are_passed_over(tmp_path, cache):
    options = image_dataset(tmp_path / "b")
    before = prepare("mine", options, None, cache).digest
    for place in (".cache", "train/.x", "train/dog/.x"):
        (tmp_path / "b" / place).mkdir()
        (tmp_path / "b" / place / "x.png").write_bytes(b"")
    (tmp_path / "b" / "train" / "dog" / "notes").mkdir()
    (tmp_path / "b" / "train" / "dog" / "notes" / "read.txt").write_text("me")
    assert prepare("mine", options, None, cache).digest == before


@pytest.mark.parametrize("target", ["005.png", "nowhere.png"])
def test_a_link_to_nothing_or_to_itself(tmp_path, cache, target):
    options = image_dataset(tmp_path / "b")
    path = tmp_path / "b" / "train" / "dog" / "005.png"
    path.unlink()
    path.symlink_to(target)
    assert_refused("train/dog/005.png: (No such file|Too many levels).*; fix", options, cache)


@pytest.mark.parametrize("target", ["bird", "/nowhere"])
def test_a_class_folder_that_is_a_link_to_nothing(tmp_path, cache, target):
    options = image_dataset(tmp_path / "b")
    (tmp_path / "b" / "train" / "bird").symlink_to(target)
    assert_refused("train/bird: a link to nothing in the place of a class", options, cache)


def test_a_class_folder_without_an_image(tmp_path, cache):
    options = image_dataset(tmp_path / "b")
    (tmp_path / "b" / "train" / "bird").mkdir()
    (tmp_path / "b" / "train" / "bird" / "x.heic").write_bytes(b"x")
    assert_refused("train/bird: a class without an image that can be read", options, cache)
