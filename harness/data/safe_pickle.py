"""Reads the python pickles of CIFAR without executing anything that they say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

from harness.errors import UserError

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""All that arrays and bytes need to be rebuilt; what else a file names is refused before it is
looked up."""


class _Arrays(pickle.Unpickler):
    """An unpickler for dictionaries of numbers, bytes, lists and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no batch of images needs"
            )
        if name == "encode":
            return _bytes
        return getattr(multiarray if name == "_reconstruct" else np, name)


def _bytes(text: str, encoding: str) -> bytes:
    """Return the bytes that Python 3 writes as text into pickles of Python 2's kind."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def read_pickle(path: Path) -> dict[bytes, Any]:
    """Return the dictionary in a CIFAR file, with keys as bytes.

    Raises:
        UserError: the file is damaged, is no dictionary, or names anything but plain arrays.
    """
    try:
        with path.open("rb") as file:
            found = _Arrays(file, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
    ) as error:
        what = str(error) or type(error).__name__
        raise UserError(f"{path}: not a batch of images ({what}); fetch it anew") from error
    except (AttributeError, MemoryError, OverflowError, ImportError, RuntimeError) as error:
        raise UserError(
            f"{path}: not a batch of images ({type(error).__name__}); fetch it anew"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a batch of images (a {type(found).__name__}); fetch it anew")
    return {key.encode() if isinstance(key, str) else key: value for key, value in found.items()}
