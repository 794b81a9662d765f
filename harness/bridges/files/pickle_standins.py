"""What stands in for the classes that a foreign file names: plain holders that check what they are given.

A file of ``torch.save`` names the functions that rebuild its content. Those of torch are torch's
own business (``weights_only=True``). In place of the few of numpy and Pillow that records of
BackdoorBench name, the unpickler is handed these, so that a file has nothing of numpy's or Pillow's
called at all.
"""

from __future__ import annotations

import math
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
CHANNELS = {"L": 1, "RGB": 3}


class ForeignDtype:
    """Stands for ``numpy.dtype``: a type of plain numbers."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in NUMBERS:
            raise UnpicklingError(f"an array of {code!r}, which are no numbers")
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.plain = self.plain.newbyteorder(">" if state[1] == ">" else "=")


class ForeignArray:
    """Stands for ``numpy.ndarray``: an array of plain numbers."""

    values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if (
            not isinstance(dtype, ForeignDtype)
            or len(data) != math.prod(shape) * dtype.plain.itemsize
        ):
            raise UnpicklingError("an array whose size is not what it says")
        self.values = np.frombuffer(data, dtype.plain).reshape(shape, order="F" if fortran else "C")


class ForeignImage:
    """Stands for ``PIL.Image.Image``: 8-bit pixels, grey or RGB."""

    pixels: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
    """(H, W, C)."""

    def __setstate__(self, state: list[Any]) -> None:
        _, mode, (width, height), _, data = state[:5]
        shape = (height, width, CHANNELS.get(mode, 0))
        if len(data) != math.prod(shape) or not data:
            raise UnpicklingError(f"an image of mode {mode!r} whose size is not what it says")
        self.pixels = np.frombuffer(data, np.uint8).reshape(shape)


def reconstruct(kind: object, *_: object) -> ForeignArray:
    """Stand for numpy's ``_reconstruct``: an array that is yet to be filled."""
    if kind is not ForeignArray:
        raise UnpicklingError("an array of another class than numpy's own")
    return ForeignArray()


def scalar(dtype: ForeignDtype, data: bytes) -> Any:
    """Stand for numpy's ``scalar``: one number, as Python has it."""
    return np.frombuffer(data, dtype.plain, 1)[0].item()


STANDINS: dict[str, Any] = {
    "numpy.ndarray": ForeignArray,
    "numpy.dtype": ForeignDtype,
    "PIL.Image.Image": ForeignImage,
    **{f"numpy.{core}.multiarray._reconstruct": reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": scalar for core in ("core", "_core")},
}
"""By the names that files have for them; numpy 1 says ``core``, numpy 2 ``_core``."""
