"""Nothing in a pickle of CIFAR is executed, and a damaged one is named."""

import os
import pickle

import pytest

from harness.data.options import DataOptions
from harness.data.safe_pickle import read_pickle
from harness.errors import UserError
from tests.helpers.dataset_archives import write_cifar10, write_cifar100, write_pickle
from tests.helpers.small_datasets import assert_refused


def own(folder, **kwargs):
    return DataOptions(path=str(folder), **kwargs)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, cache):
    folder = write_cifar10(tmp_path / "cifar")
    write_pickle(folder / "data_batch_3", {b"data": Evil(tmp_path / "ran")})
    assert_refused(
        r"data_batch_3: not a batch of images \(it names (posix|nt).system", own(folder), cache
    )
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
    folder = write_cifar10(tmp_path / "cifar")
    (folder / "test_batch").write_bytes(content)
    assert_refused("test_batch: not a batch of images", own(folder), cache)


def test_every_byte_that_is_cut_off_is_noticed(tmp_path):
    folder = write_cifar100(tmp_path)
    whole = (folder / "test").read_bytes()
    for size in range(0, len(whole), 997):
        (folder / "test").write_bytes(whole[:size])
        with pytest.raises(UserError, match="not a batch of images"):
            read_pickle(folder / "test")
