"""Images are decoded exactly, and a damaged one is named."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from harness.data.cache import prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from tests.helpers.hostile_images import png_header
from tests.helpers.small_datasets import (
    LABELS,
    TEST,
    TEST_LABELS,
    TRAIN,
    assert_refused,
    image_dataset,
    parquet_dataset,
    png,
    write_parquet,
)


def test_parquet_is_decoded_exactly(tmp_path, cache):
    info = prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    arrays = open_arrays(info)
    assert np.array_equal(arrays.train_images, TRAIN.transpose(0, 3, 1, 2))
    assert np.array_equal(arrays.test_images, TEST.transpose(0, 3, 1, 2))
    assert arrays.train_labels.tolist() == LABELS
    assert arrays.test_labels.tolist() == TEST_LABELS
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64
    assert not any(array.flags.writeable for array in arrays)
    assert (info.classes, info.class_names, info.shape) == (2, ("0", "1"), (3, 6, 6))
    assert (info.train_counts, info.test_count) == ((4, 4), 4)
    assert (info.mean, info.std, info.crop, info.flip) == ((0.0,) * 3, (1.0,) * 3, 0, False)


def test_gray_images_have_one_channel(tmp_path, cache):
    folder = tmp_path / "a"
    write_parquet(folder / "train.parquet", [png(x[..., 0]) for x in TRAIN], LABELS)
    write_parquet(folder / "test.parquet", [png(x[..., 0]) for x in TEST], TEST_LABELS)
    info = prepare("mine", DataOptions(path=str(folder)), None, cache)
    assert info.shape == (1, 6, 6)
    assert np.array_equal(open_arrays(info).train_images[:, 0], TRAIN[..., 0])


def test_a_few_gray_images_among_colour_become_colour(tmp_path, cache):
    images = [png(TRAIN[0, ..., 0]), *(png(x) for x in TRAIN[1:])]
    info = prepare("mine", parquet_dataset(tmp_path / "a", images), None, cache)
    first = open_arrays(info).train_images[0]
    assert info.shape == (3, 6, 6)
    assert all(np.array_equal(channel, TRAIN[0, ..., 0]) for channel in first)


def test_size_resizes_and_changes_the_digest(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    large = prepare("mine", DataOptions(path=options.path, size=12), None, cache)
    assert large.shape == (3, 12, 12)
    assert large.digest != prepare("mine", options, None, cache).digest
    expected = np.asarray(Image.fromarray(TRAIN[0]).resize((12, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(open_arrays(large).train_images[0], expected.transpose(2, 0, 1))


def test_a_damaged_image(tmp_path, cache):
    images = [png(x) for x in TRAIN]
    images[3] = images[3][:60]
    assert_refused(
        "train, column 'image', row 3: damaged image",
        parquet_dataset(tmp_path / "a", images),
        cache,
    )
    images[3] = b"no image at all"
    assert_refused(
        "row 3: not an image file; fix or remove it", parquet_dataset(tmp_path / "b", images), cache
    )
    images[3] = None
    assert_refused("row 3: no image", parquet_dataset(tmp_path / "c", images), cache)


def test_a_damaged_picture_is_named(tmp_path, cache):
    options = image_dataset(tmp_path / "a")
    (tmp_path / "a" / "train" / "dog" / "005.png").write_bytes(b"")
    assert_refused(r"^/.*train/dog/005.png: not an image file", options, cache)


def test_sixteen_bits(tmp_path, cache):
    images = [png(x[..., 0].astype(np.uint16) * 257) for x in TRAIN]
    assert_refused(
        "row 0: more than 8 bits per channel", parquet_dataset(tmp_path / "a", images), cache
    )


def test_images_of_different_sizes(tmp_path, cache):
    images = [png(x) for x in TRAIN]
    images[5] = png(TRAIN[5, :4])
    options = parquet_dataset(tmp_path / "a", images)
    assert_refused("row 5: 6 x 4 pixels, but the first is 6 x 6; set 'size'", options, cache)
    assert prepare("mine", DataOptions(path=options.path, size=6), None, cache).shape == (3, 6, 6)


def test_gray_test_images_beside_colour(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    write_parquet(tmp_path / "a" / "test.parquet", [png(x[..., 0]) for x in TEST], TEST_LABELS)
    assert_refused("test: all images are gray, but .*train has colour", options, cache)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("kind", ["file", "table"])
def test_postscript_is_no_image(tmp_path, cache, monkeypatch, kind):
    """Pillow would start Ghostscript, whatever the file's name."""
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if kind == "file":
        options = image_dataset(tmp_path / "a")
        (tmp_path / "a" / "train" / "dog" / "005.png").write_bytes(POSTSCRIPT)
    else:
        images = [png(x) for x in TRAIN]
        options = parquet_dataset(tmp_path / "a", [*images[:-1], POSTSCRIPT])
    assert_refused("(005.png|row 7): not an image file; fix or remove it", options, cache)
    assert not ran.exists()


@pytest.mark.parametrize("number", [0, 5])
@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (9_000, 9_000)])
def test_a_huge_image_is_not_decoded(tmp_path, cache, number, width, height):
    images = [png(x) for x in TRAIN]
    images[number] = png_header(width, height)
    options = parquet_dataset(tmp_path / "a", images)
    message = f"row {number}: damaged image .*more than 67108864 pixels"
    assert_refused(message, options, cache)
    assert_refused(message, DataOptions(path=options.path, size=6), cache)


def test_a_pipe_does_not_hang(tmp_path, cache):
    options = image_dataset(tmp_path / "a")
    (tmp_path / "a" / "train" / "dog" / "005.png").unlink()
    os.mkfifo(tmp_path / "a" / "train" / "dog" / "005.png")
    assert_refused(r"train/dog/005.png: damaged image \(not a regular file\)", options, cache)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_orientation_of_exif_is_applied(tmp_path, cache, orientation, kind):
    """As ``datasets`` decodes it; all images are turned, so that their sizes agree."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = image_dataset(tmp_path / "a")
    for path in (tmp_path / "a").rglob("*.png"):
        with Image.open(path) as image:
            half = image.crop((0, 0, 6, 4))
        half.save(path, kind, exif=exif)
    arrays = open_arrays(prepare("mine", options, None, cache))
    with Image.open(tmp_path / "a" / "train" / "dog" / "005.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(arrays.train_images[5], expected.transpose(2, 0, 1))
    assert arrays.train_images.shape[2:] == ((4, 6) if orientation < 5 else (6, 4))


def test_an_image_that_a_table_names_and_that_is_missing(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    cells = [{"bytes": None, "path": f"{tmp_path}/{i}.png"} for i in range(8)]
    packed = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, packed), "label": pa.array(LABELS)})
    pq.write_table(table, tmp_path / "a" / "train.parquet")
    assert_refused("/0.png: no such file, which the data set names", options, cache)
