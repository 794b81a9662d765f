"""Stand-ins for the classes that an imported pickle names: plain holders that check their data.

A file of ``torch.save`` names the functions that rebuild its content. Torch checks its own
(``weights_only=True``). For the few of numpy and Pillow that BackdoorBench's records name, the
unpickler gets these stand-ins instead, so that a file never calls a function of numpy or Pillow.
"""

from __future__ import annotations

import math
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
CHANNELS = {"L": 1, "RGB": 3}


class DtypeStandIn:
    """Stands in for ``numpy.dtype``: a type of plain numbers."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in NUMBERS:
            raise UnpicklingError(f"an array of {code!r}, which are not numbers")
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.plain = self.plain.newbyteorder(">" if state[1] == ">" else "=")


class ArrayStandIn:
    """Stands in for ``numpy.ndarray``: an array of plain numbers."""

    values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if (
            not isinstance(dtype, DtypeStandIn)
            or len(data) != math.prod(shape) * dtype.plain.itemsize
        ):
            raise UnpicklingError("an array whose size does not match its shape")
        self.values = np.frombuffer(data, dtype.plain).reshape(shape, order="F" if fortran else "C")


class ImageStandIn:
    """Stands in for ``PIL.Image.Image``: 8-bit pixels, grey or RGB."""

    pixels: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
    """(H, W, C)."""

    def __setstate__(self, state: list[Any]) -> None:
        _, mode, (width, height), _, data = state[:5]
        shape = (height, width, CHANNELS.get(mode, 0))
        if len(data) != math.prod(shape) or not data:
            raise UnpicklingError(
                f"an image of mode {mode!r} whose data do not match its width and height"
            )
        self.pixels = np.frombuffer(data, np.uint8).reshape(shape)


def empty_array(kind: object, *_: object) -> ArrayStandIn:
    """Stand in for numpy's ``_reconstruct``: return an array that is filled afterwards."""
    if kind is not ArrayStandIn:
        raise UnpicklingError("an array of another class than numpy's own")
    return ArrayStandIn()


def python_number(dtype: DtypeStandIn, data: bytes) -> Any:
    """Stand in for numpy's ``scalar``: return one number as Python's."""
    return np.frombuffer(data, dtype.plain, 1)[0].item()


STANDINS: dict[str, Any] = {
    "numpy.ndarray": ArrayStandIn,
    "numpy.dtype": DtypeStandIn,
    "PIL.Image.Image": ImageStandIn,
    **{f"numpy.{core}.multiarray._reconstruct": empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": python_number for core in ("core", "_core")},
}
"""The stand-ins by the names in files; numpy 1 writes ``core``, numpy 2 ``_core``."""
