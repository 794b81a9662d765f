"""Stand-ins for the classes that a pickle names: plain holders that check their data.

A pickle names the functions that rebuild its content. For the few of numpy and Pillow that CIFAR
and BackdoorBench's records name, the unpickler gets these stand-ins instead, so that a file never
calls a function of numpy or Pillow, which may trust the file with a pointer. Torch checks its own
functions (``weights_only=True``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
CHANNELS = {"L": 1, "RGB": 3}


class DtypeStandIn:
    """Stands in for ``numpy.dtype``: a type of plain numbers."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        if isinstance(code, bytes):  # as Python 2 wrote it
            code = code.decode("latin1")
        if code not in NUMBERS:
            raise UnpicklingError(f"an array of {code!r}, which are not numbers")
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.plain = self.plain.newbyteorder(">" if state[1] in (">", b">") else "=")


class ArrayStandIn:
    """Stands in for ``numpy.ndarray``: an array of plain numbers."""

    values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(data, bytes | bytearray):
            raise UnpicklingError("an array whose data are not bytes")
        if (
            not isinstance(dtype, DtypeStandIn)
            or len(data) != math.prod(shape) * dtype.plain.itemsize
        ):
            raise UnpicklingError("an array whose size does not match its shape")
        flat = np.frombuffer(data, dtype.plain) if data else np.zeros(0, dtype.plain)
        self.values = flat.reshape(shape, order="F" if fortran else "C")


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


class StandInFunction:
    """Stands in for a function: it can be called, and nothing of it can be set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        """Refuse any state."""
        raise UnpicklingError("a state for a function")


def _empty_array(kind: object, *_: object) -> ArrayStandIn:
    """Stand in for numpy's ``_reconstruct``: return an array that is filled afterwards."""
    if kind is not ArrayStandIn:
        raise UnpicklingError("an array of another class than numpy's own")
    return ArrayStandIn()


def _python_number(dtype: DtypeStandIn, data: bytes) -> Any:
    """Stand in for numpy's ``scalar``: return one number as Python's."""
    return np.frombuffer(data, dtype.plain, 1)[0].item()


def _encoded(text: str, encoding: str) -> bytes:
    """Return bytes that Python 3 has pickled as text in a protocol of Python 2."""
    if encoding not in ("latin1", b"latin1"):
        raise UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*arguments: object) -> bytes:
    """Stand in for ``bytes``: Python 3 writes empty bytes as a call without arguments."""
    if arguments:
        raise UnpicklingError("bytes with arguments")
    return b""


STANDINS: dict[str, Any] = {
    "numpy.ndarray": ArrayStandIn,
    "numpy.dtype": DtypeStandIn,
    "PIL.Image.Image": ImageStandIn,
    "_codecs.encode": StandInFunction(_encoded),
    **{f"{home}.bytes": StandInFunction(_no_bytes) for home in ("__builtin__", "builtins")},
    **{
        f"numpy.{core}.multiarray._reconstruct": StandInFunction(_empty_array)
        for core in ("core", "_core")
    },
    **{
        f"numpy.{core}.multiarray.scalar": StandInFunction(_python_number)
        for core in ("core", "_core")
    },
}
"""The stand-ins by the names in files; numpy 1 writes ``core``, numpy 2 ``_core``."""
