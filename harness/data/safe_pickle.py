"""Reads the pickles of CIFAR without executing anything in them."""

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
"""All names needed to rebuild arrays and bytes; other names are refused and not looked up."""


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler for dictionaries of numbers, bytes, lists and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no batch of images needs"
            )
        if name == "encode":
            return _bytes
        return getattr(multiarray if name == "_reconstruct" else np, name)


def _bytes(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 has pickled as text in a protocol of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def read_pickle(path: Path) -> dict[bytes, Any]:
    """Return the dictionary in a CIFAR file, with keys as bytes.

    Raises:
        UserError: the file is damaged, holds no dictionary, or names anything but plain arrays.
    """
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
    ) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: not a batch of images ({reason}); download it again") from error
    except (AttributeError, MemoryError, OverflowError, ImportError, RuntimeError) as error:
        raise UserError(
            f"{path}: not a batch of images ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise UserError(f"{path}: not a batch of images (a {kind}); download it again")
    return {key.encode() if isinstance(key, str) else key: value for key, value in content.items()}
