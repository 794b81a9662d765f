"""Each data set is decoded once; processes may race, and a damaged entry is replaced."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.data.cache import default_cache, default_root, prepare
from harness.data.info import open_arrays
from harness.data.options import DataOptions
from harness.errors import UserError
from tests.helpers.small_datasets import LABELS, TRAIN, parquet_dataset, png

ROOT = Path(__file__).parents[2]
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


def start(*args):
    return subprocess.run(
        [sys.executable, "-c", SECOND, *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_start_imports_nothing_heavy(tmp_path, cache):
    info = prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    assert start("mine", tmp_path / "a", cache).stdout == f"{info.digest} []"
    digits = prepare("digits", DataOptions(), None, cache)
    assert start("digits", "", cache).stdout == f"{digits.digest} []"


def test_two_processes_may_race(tmp_path, cache):
    parquet_dataset(tmp_path / "a")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: start("mine", tmp_path / "a", cache), range(2)))
    assert [run.returncode for run in done] == [0, 0], done[0].stderr + done[1].stderr
    info = prepare("mine", DataOptions(path=str(tmp_path / "a")), None, cache)
    assert np.array_equal(open_arrays(info).train_images, TRAIN.transpose(0, 3, 1, 2))
    assert {path.name for path in cache.iterdir()} == {"index", info.digest}


def test_a_changed_file_is_decoded_anew(tmp_path, cache):
    options = parquet_dataset(tmp_path / "a")
    before = prepare("mine", options, None, cache)
    parquet_dataset(tmp_path / "a", images=[png(255 - x) for x in TRAIN])
    after = prepare("mine", options, None, cache)
    assert after.digest != before.digest
    assert np.array_equal(open_arrays(after).train_images, 255 - TRAIN.transpose(0, 3, 1, 2))


def test_labels_are_part_of_the_digest(tmp_path, cache):
    before = prepare("mine", parquet_dataset(tmp_path / "a"), None, cache)
    after = prepare("mine", parquet_dataset(tmp_path / "b", labels=[1, *LABELS[1:]]), None, cache)
    assert after.digest != before.digest


def spoil_missing(entry):
    (entry / "test_labels.npy").unlink()


def spoil_cut(entry):
    os.truncate(entry / "train_images.npy", 200)


def spoil_info(entry):
    (entry / "info.json").write_text("{")


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_cut, spoil_info, shutil.rmtree])
def test_a_damaged_entry_is_mended(tmp_path, cache, spoil):
    options = parquet_dataset(tmp_path / "a")
    info = prepare("mine", options, None, cache)
    spoil(info.folder)
    assert prepare("mine", options, None, cache) == info
    assert np.array_equal(open_arrays(info).train_images, TRAIN.transpose(0, 3, 1, 2))


def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"^cache .*: Not a directory; set DEFUSE_CACHE to another folder$"
    ):
        prepare("mine", parquet_dataset(tmp_path / "a"), None, tmp_path / "file" / "cache")


def test_a_mean_that_does_not_fit(tmp_path, cache):
    options = DataOptions(path=parquet_dataset(tmp_path / "a").path, mean=(0.5,))
    with pytest.raises(
        UserError, match="'mean' has 1 values, but its images have 3 channels; set 'mean'"
    ):
        prepare("mine", options, None, cache)
