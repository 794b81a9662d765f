"""Reads the pickles of CIFAR without executing anything in them.

As in imported files, arrays are rebuilt by stand-ins that check their data: no name in a pickle
reaches a function of numpy, whose own can be handed a pointer.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from harness.data.pickle_scan import scan_pickle
from harness.data.pickle_standins import STANDINS, ArrayStandIn
from harness.errors import UserError

_ARRAYS = ("numpy.ndarray", "numpy.dtype", "._reconstruct", "_codecs.encode", ".bytes")
_ALLOWED = {name: x for name, x in STANDINS.items() if name.endswith(_ARRAYS)}
"""All names needed to rebuild arrays and bytes; other names are refused and not looked up."""


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler for dictionaries of numbers, bytes, lists and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        return _standin(f"{module}.{name}")


def _standin(name: str) -> Any:
    if name not in _ALLOWED:
        raise pickle.UnpicklingError(f"it names {name}, which no batch of images needs")
    return _ALLOWED[name]


def read_pickle(path: Path) -> dict[bytes, Any]:
    """Return the dictionary in a CIFAR file, with keys as bytes and arrays of plain numbers.

    Raises:
        UserError: the file is damaged, holds no dictionary, or names anything but plain arrays.
    """
    try:
        content = path.read_bytes()
        for name in sorted(scan_pickle(io.BytesIO(content), len(content)).names):
            _standin(name)
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(loaded, dict):
            raise pickle.UnpicklingError(f"a {type(loaded).__name__}")
        return {_key(key): _plain(value) for key, value in loaded.items()}
    except Exception as error:  # whatever bytes that are no pickle make of an unpickler
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path}: not a batch of images ({reason.splitlines()[0][:200]}); download it again"
        ) from error


def _key(key: object) -> bytes:
    if not isinstance(key, str | bytes):
        raise pickle.UnpicklingError(f"a key that is no text: {type(key).__name__}")
    return key.encode() if isinstance(key, str) else key


def _plain(value: Any) -> Any:
    return value.values if isinstance(value, ArrayStandIn) else value
