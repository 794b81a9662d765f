"""Extracted archives, also as BackdoorBench keeps them, are read exactly; a broken one is named."""

import numpy as np
import pytest
from PIL import Image

from harness.data.cache import prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from tests.helpers.dataset_archives import (
    PIXELS,
    write_cifar10,
    write_cifar100,
    write_gtsrb,
    write_image,
    write_pickle,
    write_tiny,
)
from tests.helpers.small_datasets import assert_refused


def own(folder, **kwargs):
    return DataOptions(path=str(folder), **kwargs)


@pytest.mark.parametrize(("make", "train"), [(write_cifar10, 20), (write_cifar100, 8)])
@pytest.mark.parametrize("inside", [False, True])
def test_cifar_is_read_exactly(tmp_path, cache, make, train, inside):
    folder = make(tmp_path / "cifar")
    info = prepare("mine", own(folder if inside else folder.parent), None, cache)
    arrays = open_arrays(info)
    assert np.array_equal(arrays.train_images, PIXELS[:train].reshape(-1, 3, 32, 32))
    assert np.array_equal(arrays.test_images, PIXELS[train : train + 4].reshape(-1, 3, 32, 32))
    assert arrays.train_labels.tolist() == [0, 1] * (train // 2)
    assert info.class_names == ("cat", "dog")


def test_gtsrb(tmp_path, cache):
    write_gtsrb(tmp_path / "gtsrb")
    info = prepare("gtsrb", DataOptions(), tmp_path, cache)
    assert (info.shape, info.train_counts, info.test_count) == ((3, 32, 32), (3, 3), 4)
    assert open_arrays(info).test_labels.tolist() == [0, 1, 0, 1]
    alone = prepare("mine", own(tmp_path / "gtsrb"), None, cache)
    with Image.open(tmp_path / "gtsrb" / "Train" / "00001" / "00000_00002.ppm") as image:
        expected = np.asarray(image)
    assert np.array_equal(open_arrays(alone).train_images[5], expected.transpose(2, 0, 1))


@pytest.mark.parametrize("annotated", [True, False])
def test_tiny_imagenet_under_backdoorbenchs_name(tmp_path, cache, annotated):
    write_tiny(tmp_path / "tiny", annotated)
    info = prepare("tiny_imagenet", DataOptions(), tmp_path, cache)
    assert (info.shape, info.train_counts, info.class_names) == (
        (3, 64, 64),
        (2, 2),
        ("n01", "n02"),
    )
    assert open_arrays(info).test_labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ({b"labels": [0, 1]}, "no 'data' of"),
        ({b"data": PIXELS[:2, :100], b"labels": [0, 1]}, "no 'data' of"),
        ({b"data": PIXELS[:2].astype(float), b"labels": [0, 1]}, "no 'data' of"),
        ({b"data": PIXELS[:2], b"labels": [0]}, "2 images need as many 'labels'"),
        ({b"data": PIXELS[:2], b"labels": [0, 7]}, r"label 7, but the training classes are 0\.\.1"),
        ({b"data": PIXELS[:2], b"labels": [0, -1]}, r"no label \(found -1\)"),
        ({b"data": PIXELS[:0], b"labels": []}, "the split is empty"),
    ],
)
def test_batches_that_are_none(tmp_path, cache, batch, match):
    folder = write_cifar10(tmp_path / "cifar")
    write_pickle(folder / "test_batch", batch, protocol=3)
    assert_refused(match, own(folder), cache)


def test_a_missing_file_is_named(tmp_path, cache):
    folder = write_cifar10(tmp_path / "cifar")
    (folder / "data_batch_4").unlink()
    assert_refused("data_batch_4 is missing", own(folder), cache)


def test_gtsrb_that_is_broken(tmp_path, cache):
    root = tmp_path / "gtsrb"
    write_gtsrb(root)
    table = root / "Test" / "GT-final_test.csv"
    good = table.read_text()
    table.write_text(good.replace(";", ","))
    assert_refused("GT-final_test.csv: needs the columns Filename and ClassId", own(root), cache)
    table.write_text(good.replace("8;8;0;0;8;8;1", "8;8;0;0;8;8;stop"))
    assert_refused("GT-final_test.csv: 'stop' is not a class number", own(root), cache)
    table.unlink()
    assert_refused("GT-final_test.csv is missing", own(root), cache)
    table.write_text(good)
    (root / "Test" / "00002.ppm").unlink()
    assert_refused("00002.ppm is missing", own(root), cache)
    write_image(root / "Test" / "00002.ppm", 1, size=(9, 8))
    assert_refused("8 x 9 pixels, but the first is 8 x 8", own(root), cache)


def test_tiny_imagenet_that_is_broken(tmp_path, cache):
    folder = write_tiny(tmp_path / "tiny")
    table = folder / "val" / "val_annotations.txt"
    table.write_text(table.read_text().replace("n02", "n99"))
    assert_refused("class 'n99' has no training image", own(folder), cache)
    (folder / "val" / "images" / "val_00.JPEG").unlink()
    assert_refused("val_00.JPEG is missing", own(folder), cache)
    table.unlink()
    (folder / "val" / "images").rename(folder / "val" / ".away")
    assert_refused("no images; they belong in val/<class>/", own(folder), cache)
