"""Writes a small data set in the forms that users have, of which a test may break a part."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.data.cache import prepare
from harness.data.options import DataOptions
from harness.errors import UserError

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
TEST = RNG.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
TEST_LABELS = [0, 0, 1, 1]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_parquet(path, images, labels, columns=("image", "label"), kind="int64"):
    """Write a parquet file of encoded images, without the metadata of ``datasets``."""
    cells = [image if image is None else {"bytes": image, "path": None} for image in images]
    packed = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pa.array(cells, packed), pa.array(labels, kind)]
    pq.write_table(pa.table(arrays, names=list(columns)), path)


def parquet_dataset(folder, images=None, labels=LABELS, **kwargs):
    """Write a data set as parquet files; a test may break the training split."""
    write_parquet(folder / "train.parquet", images or [png(x) for x in TRAIN], labels, **kwargs)
    write_parquet(folder / "test.parquet", [png(x) for x in TEST], TEST_LABELS, **kwargs)
    return DataOptions(path=str(folder))


def image_dataset(folder, names=("cat", "dog")):
    for split, images, labels in (("train", TRAIN, LABELS), ("test", TEST, TEST_LABELS)):
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / names[label] / f"{row:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    return DataOptions(path=str(folder))


def assert_refused(match, options, cache, name="mine"):
    """Check that a bad data set is reported in one line and leaves nothing in the cache."""
    with pytest.raises(UserError, match=match) as caught:
        prepare(name, options, None, cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or [path.name for path in cache.rglob("*")] == ["index"]
