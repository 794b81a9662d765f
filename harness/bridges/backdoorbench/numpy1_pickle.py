"""Saves with ``torch.save`` under the names of numpy 1, so that old environments load the file."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

NEW, OLD = "numpy._core.multiarray", "numpy.core.multiarray"
"""The module of the functions that rebuild arrays, in numpy 2 and 1; numpy 2 reads both."""


class _Pickler(pickle.Pickler):
    """Writes numpy's functions under the old name, after the pickler has written the new one.

    No override of the pickler changes the module under which it writes a function.
    """

    def __init__(self, file: io.BytesIO, protocol: int = 2) -> None:
        super().__init__(file, protocol)
        self._file = file

    def dump(self, obj: Any) -> None:
        super().dump(obj)
        renamed = _with_old_names(self._file.getvalue())
        self._file.seek(0)
        self._file.truncate()
        self._file.write(renamed)


def _with_old_names(pickled: bytes) -> bytes:
    """Replace the module in the opcodes that name a function; data with the same bytes stay."""
    new, old = (f"c{module}\n".encode("ascii") for module in (NEW, OLD))
    positions = [
        position
        for opcode, argument, position in pickletools.genops(pickled)
        if opcode.name == "GLOBAL" and str(argument).startswith(f"{NEW} ")
    ]
    for position in reversed(positions):
        assert position is not None
        pickled = pickled[:position] + old + pickled[position + len(new) :]
    return pickled


def save_for_numpy1(value: Any, path: Path) -> None:
    """Write plain values, arrays and tensors so that torch 1.11 with numpy 1 loads them too."""
    torch.save(value, path, pickle_module=SimpleNamespace(Pickler=_Pickler, __name__="pickle"))
