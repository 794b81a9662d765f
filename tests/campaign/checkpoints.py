"""Files of weights that are broken, that lie, or that name what would run code."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import match_state_dict, state_dict_in
from tests.campaign.outcome import CANARY, Case
from tests.helpers.malicious_pickles import creates_file

NETWORK = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
NAMES = (
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.getattr",
    "importlib.import_module",
    "torch.hub.load",
    "torch.load",
    "torch.storage._load_from_bytes",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch.jit.load",
    "numpy.load",
    "numpy.core.multiarray.fromfile",
    "numpy.lib.npyio.load",
    "PIL.Image.open",
    "pandas.read_pickle",
    "joblib.load",
    "shutil.rmtree",
    "webbrowser.open",
    "ctypes.string_at",
)
"""Functions that a pickle may ask for."""
PLACES: dict[str, Any] = {
    "alone": lambda bad: bad,
    "beside weights": lambda bad: {"model": {"w": torch.zeros(1)}, "extra": bad},
    "in a list": lambda bad: [[[bad]]],
    "as a key": lambda bad: {"bd_test": {(bad,): 1}},
    "in a tensor's place": lambda bad: {"0.weight": bad},
}


def cases(number: int = 120, seed: int = 0) -> Iterator[Case]:
    """Yield the cases; ``number`` of them are a good file with bytes changed at random."""
    for place, put in PLACES.items():
        for protocol in (2, 4):
            for archive in (True, False):
                what = f"code {place}, protocol {protocol}, {'archive' if archive else 'old file'}"
                yield Case(f"checkpoint: {what}", partial(_code, put, protocol, archive))
        yield Case(f"checkpoint: code {place}, a plain pickle", partial(_plain_pickle, put))
    for name in NAMES:
        module, _, function = name.rpartition(".")
        content = f"\x80\x02c{module}\n{function}\nX\x04\0\0\0true\x85R.".encode("latin1")
        yield Case(f"checkpoint: it names {name}", partial(_archive, content))
    for what, content in PICKLES.items():
        yield Case(f"checkpoint: {what}", partial(_archive, content))
    for what, weights in WEIGHTS.items():
        yield Case(f"checkpoint: {what}", partial(_weights, weights))
    for what, content in FILES.items():
        yield Case(f"checkpoint: {what}", partial(_file, content))
    draw = random.Random(seed)
    for row in range(number):
        yield Case(f"checkpoint: changed bytes, {row}", partial(_changed, draw.random()), True)


def _read(path: Path) -> None:
    """Read a file as an import does, its weights into a network."""
    match_state_dict(state_dict_in(load_file(path), str(path)), NETWORK, str(path))


def _code(put: Any, protocol: int, archive: bool, folder: Path) -> None:
    path = folder / "bad.pt"
    torch.save(
        put(creates_file(folder / CANARY)),
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=archive,
    )
    _read(path)


def _plain_pickle(put: Any, folder: Path) -> None:
    (folder / "bad.pth").write_bytes(pickle.dumps(put(creates_file(folder / CANARY)), 2))
    _read(folder / "bad.pth")


def _archive(content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(folder / "bad.pt", "w") as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/version", "3\n")
    _read(folder / "bad.pt")


def _weights(weights: Any, folder: Path) -> None:
    torch.save(weights(NETWORK.state_dict()), folder / "bad.pt")
    _read(folder / "bad.pt")


def _file(content: bytes, folder: Path) -> None:
    (folder / "bad.pt").write_bytes(content)
    _read(folder / "bad.pt")


def _changed(share: float, folder: Path) -> None:
    """Change bytes of a good file; where weights alone are hit, it is a good file of others."""
    out = io.BytesIO()
    torch.save(NETWORK.state_dict(), out, _use_new_zipfile_serialization=share < 0.5)
    data, draw = bytearray(out.getvalue()), random.Random(share)
    for _ in range(draw.randint(1, 20)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    _file(bytes(data[: draw.choice([len(data), draw.randrange(len(data))])]), folder)


def _recursive(weights: Any) -> dict[str, Any]:
    nest: dict[str, Any] = {}
    nest["model"] = nest
    return nest


def _nested(weights: Any) -> dict[str, Any]:
    for _ in range(200):
        weights = {"model": weights}
    return dict(weights)


PICKLES = {
    "a pickle without an end": b"\x80\x02N",
    "a place in the memo beyond all memory": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a tuple nested 100,000 deep": b"\x80\x02" + b")" + b"\x85" * 100_000 + b".",
    "a tuple that doubles 60 times": b"\x80\x02)" + b"2\x86" * 60 + b".",
    "a list nested 100,000 deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "an array with a pointer": b"\x80\x02cnumpy\nndarray\n((K\x01tX\x01\0\0\0Oc_codecs\nencode\n"
    b"X\x08\0\0\0AAAAAAAAX\x06\0\0\0latin1\x86RtR.",
    "a storage that is none": b"\x80\x02X\x01\0\0\0aQ.",
    "a stack that is empty": b"\x80\x02R.",
    "a key that is a list": b"\x80\x02}]Ns.",
    "nothing": b"",
}
WEIGHTS: dict[str, Any] = {
    "no weights": lambda weights: {},
    "a list": lambda weights: list(weights.values()),
    "a number": lambda weights: 5,
    "a wrapper of itself": _recursive,
    "200 wrappers": _nested,
    "5000 prefixes": lambda weights: {"module." * 5000 + name: x for name, x in weights.items()},
    "a missing weight": lambda weights: dict(list(weights.items())[1:]),
    "one weight more": lambda weights: {**weights, "more": torch.zeros(1)},
    "other shapes": lambda weights: {name: torch.zeros(7, 7) for name in weights},
    "complex weights": lambda weights: {name: x.to(torch.complex64) for name, x in weights.items()},
    "booleans": lambda weights: {name: x.bool() for name, x in weights.items()},
    "integers": lambda weights: {name: x.long() for name, x in weights.items()},
    "sparse weights": lambda weights: {
        name: x.to_sparse() if x.ndim else x for name, x in weights.items()
    },
    "names that are numbers": lambda weights: dict(enumerate(weights.values())),
    "names of 5000 letters": lambda weights: {name * 500: x for name, x in weights.items()},
    "names with line ends": lambda weights: {f"{name}\n\x1b[2J": x for name, x in weights.items()},
}
FILES = {
    "an empty file": b"",
    "zeros": b"\0" * 10_000,
    "text": b"hello\n" * 100,
    "a web page": b"<!doctype html><p>Sign in</p>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n",
    "a file of safetensors that lies": struct.pack("<Q", 1 << 40) + b"{}",
    "the start of an archive": b"PK\x03\x04" + b"\0" * 100,
}
