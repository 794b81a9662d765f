"""Saves with ``torch.save`` so that environments of old load it: numpy 1 does not know numpy 2's names."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

NEW, OLD = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
"""The opcode that names a global's module, in protocol 2: numpy 2 understands both."""


class _Pickler(pickle.Pickler):
    """Writes what arrays are rebuilt by under the name that numpy 1 has for it."""

    def __init__(self, file: io.BytesIO, protocol: int = 2) -> None:
        super().__init__(file, protocol)
        self._file = file

    def dump(self, obj: Any) -> None:
        super().dump(obj)
        text = self._file.getvalue().replace(NEW, OLD)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)


def save(value: Any, path: Path) -> None:
    """Write plain values, numpy arrays and tensors so that torch 1.11 with numpy 1 loads them too."""
    torch.save(value, path, pickle_module=SimpleNamespace(Pickler=_Pickler, __name__="pickle"))
