"""The archives' own folders, as BackdoorBench keeps them: read exactly, and nothing in them executed."""

import io
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from harness.data.cache import prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from harness.data.safe_pickle import read_pickle
from harness.errors import UserError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 3072), dtype=np.uint8)


def dump(path, content, protocol=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def cifar10(root):
    folder = root / "cifar-10-batches-py"
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        rows = slice(4 * i, 4 * i + 4)
        dump(folder / name, {b"data": PIXELS[rows], b"labels": [0, 1, 0, 1], b"batch_label": b"x"})
    dump(folder / "batches.meta", {b"label_names": [b"cat", b"dog"], b"num_vis": 3072})
    return folder


def cifar100(root):
    folder = root / "cifar-100-python"
    for name, rows in (("train", slice(0, 8)), ("test", slice(8, 12))):
        count = rows.stop - rows.start
        labels = {b"fine_labels": [i % 2 for i in range(count)], b"coarse_labels": [0] * count}
        dump(folder / name, {b"data": PIXELS[rows], **labels})
    dump(folder / "meta", {b"fine_label_names": [b"cat", b"dog"], b"coarse_label_names": [b"pet"]})
    return folder


def picture(path, seed, size=(8, 8), kind="PPM"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    path.write_bytes(file.getvalue())


def gtsrb(root):
    for label in (0, 1):
        for i in range(3):
            picture(root / "Train" / f"{label:05d}" / f"00000_{i:05d}.ppm", 10 * label + i)
        (root / "Train" / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("Filename;ClassId\n")
    for i in range(4):
        picture(root / "Test" / f"{i:05d}.ppm", 100 + i)
    rows = "".join(f"{i:05d}.ppm;8;8;0;0;8;8;{i % 2}\n" for i in range(4))
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    (root / "Test" / "GT-final_test.csv").write_text(head + rows)


def tiny(root, annotated=True):
    folder = root / "tiny-imagenet-200"
    for label, name in enumerate(("n01", "n02")):
        for i in range(2):
            picture(
                folder / "train" / name / "images" / f"{name}_{i}.JPEG", 10 * label + i, kind="JPEG"
            )
            place = "images" if annotated else name
            picture(
                folder / "val" / place / f"val_{label}{i}.JPEG", 50 + 10 * label + i, kind="JPEG"
            )
    if annotated:
        rows = [
            f"val_{label}{i}.JPEG\tn0{label + 1}\t0\t0\t8\t8" for label in (0, 1) for i in (0, 1)
        ]
        (folder / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def own(folder, **kwargs):
    return DataOptions(path=str(folder), **kwargs)


def refuse(match, folder, cache, name="mine"):
    with pytest.raises(UserError, match=match) as caught:
        prepare(name, own(folder), None, cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or [path.name for path in cache.rglob("*")] == ["index"]


@pytest.mark.parametrize(("make", "train"), [(cifar10, 20), (cifar100, 8)])
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
    gtsrb(tmp_path / "gtsrb")
    info = prepare("gtsrb", DataOptions(), tmp_path, cache)
    assert (info.shape, info.train_counts, info.test_count) == ((3, 32, 32), (3, 3), 4)
    assert open_arrays(info).test_labels.tolist() == [0, 1, 0, 1]
    alone = prepare("mine", own(tmp_path / "gtsrb"), None, cache)
    with Image.open(tmp_path / "gtsrb" / "Train" / "00001" / "00000_00002.ppm") as image:
        expected = np.asarray(image)
    assert np.array_equal(open_arrays(alone).train_images[5], expected.transpose(2, 0, 1))


@pytest.mark.parametrize("annotated", [True, False])
def test_tiny_imagenet_under_backdoorbenchs_name(tmp_path, cache, annotated):
    tiny(tmp_path / "tiny", annotated)
    info = prepare("tiny_imagenet", DataOptions(), tmp_path, cache)
    assert (info.shape, info.train_counts, info.class_names) == (
        (3, 64, 64),
        (2, 2),
        ("n01", "n02"),
    )
    assert open_arrays(info).test_labels.tolist() == [0, 0, 1, 1]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, cache):
    folder = cifar10(tmp_path / "cifar")
    dump(folder / "data_batch_3", {b"data": Evil(tmp_path / "ran")})
    refuse(r"data_batch_3: not a batch of images \(it names (posix|nt).system", folder, cache)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "module", ["builtins.eval", "numpy.load", "numpy.core.multiarray.scalar", "os.system"]
)
def test_nothing_but_arrays_is_looked_up(tmp_path, module):
    home, _, name = module.rpartition(".")
    path = tmp_path / "batch"
    path.write_bytes(f"c{home}\n{name}\n.".encode())
    with pytest.raises(UserError, match=f"it names {module}"):
        read_pickle(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00", b"garbage", pickle.dumps([1, 2])])
def test_damaged_pickles(tmp_path, cache, content):
    folder = cifar10(tmp_path / "cifar")
    (folder / "test_batch").write_bytes(content)
    refuse("test_batch: not a batch of images", folder, cache)


def test_every_byte_that_is_cut_off_is_noticed(tmp_path):
    folder = cifar100(tmp_path)
    whole = (folder / "test").read_bytes()
    for size in range(0, len(whole), 997):
        (folder / "test").write_bytes(whole[:size])
        with pytest.raises(UserError, match="not a batch of images"):
            read_pickle(folder / "test")


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
    folder = cifar10(tmp_path / "cifar")
    dump(folder / "test_batch", batch, protocol=3)
    refuse(match, folder, cache)


def test_a_missing_file_is_named(tmp_path, cache):
    folder = cifar10(tmp_path / "cifar")
    (folder / "data_batch_4").unlink()
    refuse("data_batch_4 is missing", folder, cache)


def test_gtsrb_that_is_broken(tmp_path, cache):
    root = tmp_path / "gtsrb"
    gtsrb(root)
    table = root / "Test" / "GT-final_test.csv"
    good = table.read_text()
    table.write_text(good.replace(";", ","))
    refuse("GT-final_test.csv: needs the columns Filename and ClassId", root, cache)
    table.write_text(good.replace("8;8;0;0;8;8;1", "8;8;0;0;8;8;stop"))
    refuse("GT-final_test.csv: 'stop' is not a class number", root, cache)
    table.unlink()
    refuse("GT-final_test.csv is missing", root, cache)
    table.write_text(good)
    (root / "Test" / "00002.ppm").unlink()
    refuse("00002.ppm is missing", root, cache)
    picture(root / "Test" / "00002.ppm", 1, size=(9, 8))
    refuse("8 x 9 pixels, but the first is 8 x 8", root, cache)


def test_tiny_imagenet_that_is_broken(tmp_path, cache):
    folder = tiny(tmp_path / "tiny")
    table = folder / "val" / "val_annotations.txt"
    table.write_text(table.read_text().replace("n02", "n99"))
    refuse("class 'n99' has no training image", folder, cache)
    (folder / "val" / "images" / "val_00.JPEG").unlink()
    refuse("val_00.JPEG is missing", folder, cache)
    table.unlink()
    (folder / "val" / "images").rename(folder / "val" / ".away")
    refuse("no images; they belong in val/<class>/", folder, cache)
