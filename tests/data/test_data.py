"""Data sets: found, decoded exactly, cached once, and every bad input one clear line."""

import io
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.data.cache import default_cache, default_root, prepare
from harness.data.catalog import CATALOG, resolve_entry
from harness.data.info import open_arrays
from harness.data.locate import locate
from harness.data.options import DataOptions
from harness.errors import UserError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
TEST = RNG.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
TEST_LABELS = [0, 0, 1, 1]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def table(path, images, labels, columns=("image", "label"), kind="int64"):
    """Write a parquet file of encoded images as any tool would, without the metadata of `datasets`."""
    cells = [image if image is None else {"bytes": image, "path": None} for image in images]
    packed = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pa.array(cells, packed), pa.array(labels, kind)]
    pq.write_table(pa.table(arrays, names=list(columns)), path)


def parquet(folder, images=None, labels=LABELS, **kwargs):
    """Write a whole data set, of which a test may spoil the training part."""
    table(folder / "train.parquet", images or [png(x) for x in TRAIN], labels, **kwargs)
    table(folder / "test.parquet", [png(x) for x in TEST], TEST_LABELS, **kwargs)
    return DataOptions(path=str(folder))


def pictures(folder, names=("cat", "dog")):
    for split, images, labels in (("train", TRAIN, LABELS), ("test", TEST, TEST_LABELS)):
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / names[label] / f"{row:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    return DataOptions(path=str(folder))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFUSE_CACHE", str(tmp_path / "own"))
    monkeypatch.delenv("DEFUSE_DATA", raising=False)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def refuse(match, options, cache, name="mine"):
    """Hold that a bad data set is one line, and leaves nothing in the cache."""
    with pytest.raises(UserError, match=match) as caught:
        prepare(name, options, None, cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or [path.name for path in cache.rglob("*")] == ["index"]


# What comes out


def test_parquet_is_decoded_exactly(tmp_path, cache):
    info = prepare("mine", parquet(tmp_path / "a"), None, cache)
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


def test_image_folder_gives_the_same_digest_and_its_own_names(tmp_path, cache):
    one = prepare("mine", parquet(tmp_path / "a"), None, cache)
    two = prepare("mine", pictures(tmp_path / "b"), None, cache)
    assert one.digest == two.digest
    assert two.class_names == ("cat", "dog")
    assert prepare("mine", DataOptions(path=str(tmp_path / "a")), None, cache).class_names == (
        "0",
        "1",
    )
    assert one.identity() == two.identity()
    json.dumps(one.identity())


def test_numbered_class_folders_keep_their_numbers(tmp_path, cache):
    info = prepare("mine", pictures(tmp_path / "b", names=("9", "10")), None, cache)
    assert info.class_names == ("9", "10")


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


def test_gray_images_have_one_channel(tmp_path, cache):
    folder = tmp_path / "a"
    table(folder / "train.parquet", [png(x[..., 0]) for x in TRAIN], LABELS)
    table(folder / "test.parquet", [png(x[..., 0]) for x in TEST], TEST_LABELS)
    info = prepare("mine", DataOptions(path=str(folder)), None, cache)
    assert info.shape == (1, 6, 6)
    assert np.array_equal(open_arrays(info).train_images[:, 0], TRAIN[..., 0])


def test_a_few_gray_images_among_colour_become_colour(tmp_path, cache):
    images = [png(TRAIN[0, ..., 0]), *(png(x) for x in TRAIN[1:])]
    info = prepare("mine", parquet(tmp_path / "a", images), None, cache)
    first = open_arrays(info).train_images[0]
    assert info.shape == (3, 6, 6)
    assert all(np.array_equal(channel, TRAIN[0, ..., 0]) for channel in first)


def test_size_resizes_and_changes_the_digest(tmp_path, cache):
    options = parquet(tmp_path / "a")
    large = prepare("mine", DataOptions(path=options.path, size=12), None, cache)
    assert large.shape == (3, 12, 12)
    assert large.digest != prepare("mine", options, None, cache).digest
    expected = np.asarray(Image.fromarray(TRAIN[0]).resize((12, 12), Image.Resampling.BILINEAR))
    assert np.array_equal(open_arrays(large).train_images[0], expected.transpose(2, 0, 1))


def test_overrides_lie_on_top_of_the_catalogue(tmp_path, cache):
    pictures(tmp_path / "cifar10")
    plain = prepare("cifar10", DataOptions(), tmp_path, cache)
    assert (plain.mean, plain.crop, plain.flip) == ((0.4914, 0.4822, 0.4465), 4, True)
    assert plain.shape == (3, 32, 32)
    other = prepare(
        "cifar10", DataOptions(std=(1.0, 1.0, 1.0), crop=0, flip=False), tmp_path, cache
    )
    assert (other.mean, other.std, other.crop, other.flip) == (
        plain.mean,
        (1.0, 1.0, 1.0),
        0,
        False,
    )
    assert other.digest == plain.digest
    assert other.identity() != plain.identity()


def test_digits():
    pytest.importorskip("sklearn")
    info = prepare("digits", DataOptions(), None, default_cache())
    arrays = open_arrays(info)
    assert (info.classes, info.shape, info.test_count) == (10, (1, 8, 8), 445)
    assert info.train_counts == (134, 137, 133, 138, 136, 137, 136, 135, 131, 135)
    assert (arrays.train_images.min(), arrays.train_images.max()) == (0, 255)
    assert info.mean == (round(float(np.concatenate(arrays[::2]).mean()) / 255, 4),)


# The cache


def test_places(monkeypatch, tmp_path):
    assert default_cache() == tmp_path / "own" / "data"
    assert default_root() is None
    monkeypatch.setenv("DEFUSE_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("DEFUSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "defuse" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "defuse" / "data"


SECOND = """
import sys
from pathlib import Path
from harness.data.cache import prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
name, path, cache = sys.argv[1:]
info = prepare(name, DataOptions(path=path or None), None, Path(cache))
open_arrays(info)
heavy = {"datasets", "PIL", "pandas", "sklearn", "torch", "pyarrow"} & sys.modules.keys()
sys.stdout.write(f"{info.digest} {sorted(heavy)}")
"""


def start(*args):
    return subprocess.run(
        [sys.executable, "-c", SECOND, *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_start_imports_nothing_heavy(tmp_path, cache):
    info = prepare("mine", parquet(tmp_path / "a"), None, cache)
    assert start("mine", tmp_path / "a", cache).stdout == f"{info.digest} []"
    pytest.importorskip("sklearn")
    digits = prepare("digits", DataOptions(), None, cache)
    assert start("digits", "", cache).stdout == f"{digits.digest} []"


def test_two_processes_may_race(tmp_path, cache):
    parquet(tmp_path / "a")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: start("mine", tmp_path / "a", cache), range(2)))
    assert [run.returncode for run in done] == [0, 0], done[0].stderr + done[1].stderr
    info = prepare("mine", DataOptions(path=str(tmp_path / "a")), None, cache)
    assert np.array_equal(open_arrays(info).train_images, TRAIN.transpose(0, 3, 1, 2))
    assert {path.name for path in cache.iterdir()} == {"index", info.digest}


def test_a_changed_file_is_decoded_anew(tmp_path, cache):
    options = parquet(tmp_path / "a")
    before = prepare("mine", options, None, cache)
    parquet(tmp_path / "a", images=[png(255 - x) for x in TRAIN])
    after = prepare("mine", options, None, cache)
    assert after.digest != before.digest
    assert np.array_equal(open_arrays(after).train_images, 255 - TRAIN.transpose(0, 3, 1, 2))


def test_labels_are_part_of_the_digest(tmp_path, cache):
    before = prepare("mine", parquet(tmp_path / "a"), None, cache)
    after = prepare("mine", parquet(tmp_path / "b", labels=[1, *LABELS[1:]]), None, cache)
    assert after.digest != before.digest


def spoil_missing(entry):
    (entry / "test_labels.npy").unlink()


def spoil_cut(entry):
    os.truncate(entry / "train_images.npy", 200)


def spoil_info(entry):
    (entry / "info.json").write_text("{")


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_cut, spoil_info, shutil.rmtree])
def test_a_damaged_entry_is_mended(tmp_path, cache, spoil):
    options = parquet(tmp_path / "a")
    info = prepare("mine", options, None, cache)
    spoil(info.folder)
    assert prepare("mine", options, None, cache) == info
    assert np.array_equal(open_arrays(info).train_images, TRAIN.transpose(0, 3, 1, 2))


def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"^cache .*: Not a directory; set DEFUSE_CACHE to another folder$"
    ):
        prepare("mine", parquet(tmp_path / "a"), None, tmp_path / "file" / "cache")


# What is found where


def test_the_catalogue_is_complete():
    assert {"digits", "cifar10", "cifar100", "gtsrb", "mnist", "fashion_mnist"} <= CATALOG.keys()
    for name, entry in CATALOG.items():
        assert entry.size, name
        assert entry.reference, name
        assert (entry.mean is None) == (entry.std is None), name
        assert len(entry.mean or ()) == len(entry.std or ()), name
        assert entry.flip == (name == "cifar10")


def test_an_unknown_name():
    with pytest.raises(
        UserError, match=r"unknown data set 'cifar1'; did you mean 'cifar10'.*'path' or 'hub'"
    ):
        resolve_entry("cifar1", DataOptions())
    assert resolve_entry("mine", DataOptions(hub="me/mine")).hub == "me/mine"


def test_an_own_hub_id_wins_over_the_local_folder(tmp_path):
    pictures(tmp_path / "cifar10")
    assert locate("cifar10", DataOptions(hub="me/mine"), tmp_path).files is None
    assert locate("cifar10", DataOptions(), tmp_path).files is not None


def test_what_a_download_leaves_is_found(tmp_path):
    folder = tmp_path / "imagenette"
    for part in (
        "160px/train-00000-of-00001",
        "160px/validation-00000-of-00001",
        "320px/train-0",
        ".cache/train-0",
    ):
        table(folder / f"{part}.parquet", [png(TRAIN[0])], [0])
    source = locate("imagenette", DataOptions(), tmp_path)
    assert [path.name for part in source.files for path in part] == [
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]


def test_the_hub_out_of_reach_names_the_folder_and_the_command(tmp_path):
    code = (
        "from pathlib import Path\nfrom harness.data.cache import prepare\n"
        "from harness.data.options import DataOptions\nfrom harness.errors import UserError\n"
        f"root = Path({str(tmp_path)!r})\n"
        "try: prepare('cifar10', DataOptions(), root, root / 'cache')\n"
        "except UserError as error: raise SystemExit(str(error))\n"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    folder = tmp_path / "cifar10"
    assert f"{folder} does not exist" in run.stderr
    command = f"hf download uoft-cs/cifar10 --repo-type dataset --local-dir {folder}"
    assert run.stderr.strip().endswith(command)
    assert len(run.stderr.strip().splitlines()) == 1


def test_a_hub_id_is_read_like_a_local_folder(tmp_path, cache, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    local = prepare("mine", parquet(tmp_path / "a"), None, cache)
    hub = prepare(
        "mine", DataOptions(hub=str(tmp_path / "a")), None, cache
    )  # `datasets` takes a folder as an id
    assert hub == local
    (tmp_path / "a" / "test.parquet").unlink()
    with pytest.raises(UserError, match=r"cannot download .*test"):
        prepare("mine", DataOptions(hub=str(tmp_path / "a"), size=3), None, cache)


def test_digits_without_scikit_learn(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    refuse(
        r"needs scikit-learn; run: pip install 'defuse-bench\[digits\]'",
        DataOptions(),
        cache,
        "digits",
    )


# Bad inputs


@pytest.mark.parametrize(
    "fields",
    [{"path": "a", "hub": "b"}, {"size": 0}, {"crop": -1}, {"mean": (125.0,)}, {"std": (0.0,)}],
)
def test_options_out_of_range(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        DataOptions(**fields)


def test_no_such_folder(tmp_path, cache):
    refuse(
        "no folder .*nowhere; correct 'path'", DataOptions(path=str(tmp_path / "nowhere")), cache
    )


def test_a_missing_split(tmp_path, cache):
    options = parquet(tmp_path / "a")
    (tmp_path / "a" / "test.parquet").unlink()
    refuse("has no 'test' split; it needs test", options, cache)


def test_two_kinds_of_split(tmp_path, cache):
    options = parquet(tmp_path / "a")
    (tmp_path / "a" / "test.parquet").unlink()
    pictures(tmp_path / "a")
    refuse("one split as parquet and one as images", options, cache)


def test_a_damaged_parquet_file(tmp_path, cache):
    options = parquet(tmp_path / "a")
    (tmp_path / "a" / "train.parquet").write_bytes(b"PAR1 nothing")
    refuse(r"cannot read .*a: ", options, cache)


def test_a_damaged_image(tmp_path, cache):
    images = [png(x) for x in TRAIN]
    images[3] = images[3][:60]
    refuse("train, column 'image', row 3: damaged image", parquet(tmp_path / "a", images), cache)
    images[3] = b"no image at all"
    refuse("row 3: not an image file; fix or remove it", parquet(tmp_path / "b", images), cache)
    images[3] = None
    refuse("row 3: no image", parquet(tmp_path / "c", images), cache)


def test_a_damaged_picture_is_named(tmp_path, cache):
    options = pictures(tmp_path / "a")
    (tmp_path / "a" / "train" / "dog" / "005.png").write_bytes(b"")
    refuse(r"^/.*train/dog/005.png: not an image file", options, cache)


def test_sixteen_bits(tmp_path, cache):
    images = [png(x[..., 0].astype(np.uint16) * 257) for x in TRAIN]
    refuse("row 0: more than 8 bits per channel", parquet(tmp_path / "a", images), cache)


def test_an_empty_split(tmp_path, cache):
    options = parquet(tmp_path / "a")
    table(tmp_path / "a" / "train.parquet", [], [])
    refuse("train: the split is empty", options, cache)
    table(tmp_path / "a" / "train-1.parquet", [png(x) for x in TRAIN], LABELS)
    assert prepare("mine", options, None, cache).train_counts == (4, 4)


def test_missing_columns(tmp_path, cache):
    options = parquet(tmp_path / "a", columns=("images", "label"))
    refuse("train: no column 'image'; did you mean 'images'", options, cache)
    options = parquet(tmp_path / "b", columns=("image", "labels"))
    refuse("train: no column 'label'; did you mean 'labels'", options, cache)


def test_a_column_without_images(tmp_path, cache):
    options = DataOptions(path=parquet(tmp_path / "a").path, image="label")
    refuse("column 'label' holds no encoded images", options, cache)


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
    options = parquet(tmp_path / "a")
    table(tmp_path / "a" / "train.parquet", [png(x) for x in TRAIN], labels, kind=kind)
    if kind != "int64":
        table(tmp_path / "a" / "test.parquet", [png(x) for x in TEST], labels[2:6], kind=kind)
    refuse(match, options, cache)


def test_a_test_label_that_training_lacks(tmp_path, cache):
    options = parquet(tmp_path / "a")
    table(tmp_path / "a" / "test.parquet", [png(x) for x in TEST], [0, 1, 2, 0])
    refuse(r"row 2: label 2, but the training classes are 0\.\.1", options, cache)


def test_a_class_folder_without_training_images(tmp_path, cache):
    options = pictures(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "test" / "dog", tmp_path / "a" / "test" / "emu")
    refuse(r"class 2 \('emu'\) has no image", options, cache)


def test_images_of_different_sizes(tmp_path, cache):
    images = [png(x) for x in TRAIN]
    images[5] = png(TRAIN[5, :4])
    options = parquet(tmp_path / "a", images)
    refuse("row 5: 6 x 4 pixels, but the first is 6 x 6; set 'size'", options, cache)
    assert prepare("mine", DataOptions(path=options.path, size=6), None, cache).shape == (3, 6, 6)


def test_gray_test_images_beside_colour(tmp_path, cache):
    options = parquet(tmp_path / "a")
    table(tmp_path / "a" / "test.parquet", [png(x[..., 0]) for x in TEST], TEST_LABELS)
    refuse("test: all images are gray, but .*train has colour", options, cache)


def test_a_mean_that_does_not_fit(tmp_path, cache):
    options = DataOptions(path=parquet(tmp_path / "a").path, mean=(0.5,))
    with pytest.raises(
        UserError, match="'mean' has 1 values, but its images have 3 channels; set 'mean'"
    ):
        prepare("mine", options, None, cache)


def test_a_path_with_strange_characters(tmp_path, cache):
    options = parquet(tmp_path / "a [b] {c} *?")
    assert prepare("mine", options, None, cache).test_count == 4
