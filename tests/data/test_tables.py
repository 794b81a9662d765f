"""Parquet files and the hub, read through datasets."""

import numpy as np
import pytest
from PIL import Image

from harness.data.cache import prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from harness.errors import UserError
from tests.helpers.small_datasets import (
    LABELS,
    TEST,
    TEST_LABELS,
    TRAIN,
    assert_refused,
    parquet_dataset,
    png,
    write_parquet,
)


def test_features_of_datasets_are_understood(tmp_path, cache):
    import datasets

    features = datasets.Features(
        {"pic": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    )
    for split, images, labels in (("train", TRAIN, LABELS), ("test", TEST, TEST_LABELS)):
        rows = {"pic": [Image.fromarray(image) for image in images], "kind": labels}
        part = tmp_path / "a" / "plain_text" / f"{split}-00000-of-00001.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(part)
    options = DataOptions(path=str(tmp_path / "a"), image="pic", label="kind")
    info = prepare("mine", options, None, cache)
    assert info.class_names == ("cat", "dog")
    assert np.array_equal(open_arrays(info).train_images, TRAIN.transpose(0, 3, 1, 2))


def test_a_hub_id_is_read_like_a_local_folder(tmp_path, cache, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    local = prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    hub = prepare(
        "mine", DataOptions(hub=str(tmp_path / "a")), None, cache
    )  # `datasets` takes a folder as an id
    assert hub == local
    (tmp_path / "a" / "test.parquet").unlink()
    with pytest.raises(UserError, match=r"cannot download .*test"):
        prepare("mine", DataOptions(hub=str(tmp_path / "a"), size=3), None, cache)


def test_reading_a_table_prints_nothing(tmp_path, cache, capfd):
    prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_path_with_strange_characters(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a [b] {c} *?")
    assert prepare("mine", options, None, cache).test_count == 4


def test_a_damaged_parquet_file(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    (tmp_path / "a" / "train.parquet").write_bytes(b"PAR1 nothing")
    assert_refused(r"cannot read .*a: ", options, cache)


def test_an_empty_split(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    write_parquet(tmp_path / "a" / "train.parquet", [], [])
    assert_refused("train: the split is empty", options, cache)
    write_parquet(tmp_path / "a" / "train-1.parquet", [png(x) for x in TRAIN], LABELS)
    assert prepare("mine", options, None, cache).train_counts == (4, 4)


def test_missing_columns(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a", columns=("images", "label"))
    assert_refused("train: no column 'image'; did you mean 'images'", options, cache)
    options = parquet_dataset(tmp_path / "b", columns=("image", "labels"))
    assert_refused("train: no column 'label'; did you mean 'labels'", options, cache)


def test_a_column_without_images(tmp_path, cache):
    options = DataOptions(path=parquet_dataset(tmp_path / "a").path, image="label")
    assert_refused("column 'label' holds no encoded images", options, cache)
