"""Nothing in a pickle of CIFAR is executed, and a damaged one is named."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from harness.data.options import DataOptions
from harness.data.pickle_standins import STANDINS
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


POINTER = (
    b"\x80\x03c_codecs\nencode\n(X\x01\0\0\0xcnumpy\nndarray\n"
    b"((K\x01tX\x01\0\0\0OB\x08\0\0\0AAAAAAAAtRtR."
)
HOSTILE = {
    "an array of objects at a pointer": POINTER,
    "an array of objects": pickle.dumps({b"data": np.array([None, [1]], object)}, 2),
    "a memo of 2 ** 31 places": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "a key whose hash overflows the stack": b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
    "a key whose hash never ends": b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"Ns.",
    "a state for a function": b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n}b.",
    "a state for a class": b"\x80\x02cnumpy\nndarray\nN}X\x01\0\0\0xK\x01s\x86b.",
    "bytes of a chosen length": b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "a dtype of nested fields": pickle.dumps({b"data": np.zeros(2, [("a", "O")])}, 2),
    "a mark alone": b"(0.",
    "a name on the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("make", [write_cifar10, write_cifar100])
def test_a_hostile_pickle_is_refused_in_one_line(tmp_path, make, content):
    """Each in a process of its own, which may crash."""
    folder = make(tmp_path / "cifar")
    for path in folder.iterdir():
        path.write_bytes(content)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "from pathlib import Path\nfrom harness.data.cache import prepare\n"
        "from harness.data.options import DataOptions\nfrom harness.errors import UserError\n"
        f"try: prepare('mine', DataOptions(path={str(folder)!r}), None, Path({str(tmp_path)!r}))\n"
        "except UserError as error: print(error); raise SystemExit(2)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.returncode, run.stderr) == (2, "")
    assert len(run.stdout.splitlines()) == 1
    assert "not a batch of images (" in run.stdout


def test_reading_leaves_the_stand_ins_unchanged(tmp_path):
    before = {name: dict(getattr(x, "__dict__", {})) for name, x in STANDINS.items()}
    for index, content in enumerate(HOSTILE.values()):
        path = tmp_path / str(index)
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a batch of images"):
            read_pickle(path)
    assert {name: dict(getattr(x, "__dict__", {})) for name, x in STANDINS.items()} == before


@pytest.mark.parametrize("protocol", range(5))
def test_every_protocol_is_read(tmp_path, protocol):
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    empty = np.zeros((0, 3), np.uint8)
    write_pickle(tmp_path / "batch", {b"data": values, b"none": empty, "text": "a"}, protocol)
    read = read_pickle(tmp_path / "batch")
    assert read[b"data"].tolist() == values.tolist()
    assert read[b"none"].shape == (0, 3)
    assert read[b"text"] == "a"


def test_strings_of_python_2(tmp_path):
    """As the original batches have them: names, types and pixels are byte strings."""
    path = tmp_path / "batch"
    path.write_bytes(
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbs."
    )
    assert read_pickle(path)[b"data"].tolist() == [[97, 98, 99], [100, 101, 102]]


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ({b"labels": [2**70, 0, 1, 0]}, r"no label \(found 1180591620717411303424\)"),
        ({b"labels": ["0", 0, 1, 0]}, r"no label \(found 0\)"),
        ({b"label_names": [["cat"], "dog"]}, "no 'label_names'"),
        ({(): [0]}, "a key that is no text: tuple"),
        ({"\ud800": [0]}, "not a batch of images"),
    ],
)
def test_content_that_is_none(tmp_path, cache, batch, match):
    folder = write_cifar10(tmp_path / "cifar")
    path = folder / ("batches.meta" if b"label_names" in batch else "test_batch")
    content = pickle.loads(path.read_bytes(), encoding="bytes")
    write_pickle(path, content | batch)
    assert_refused(match, own(folder), cache)
