"""Images of an imported record: PNG or JPEG files, or pixels in the record itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.image_formats import open_image
from harness.errors import UserError

LONGEST_NUMBER = 18
"""Digits of a number that int64 holds, whatever they are."""
ImageFile = Path | NDArray[np.uint8]
"""A PNG or JPEG file, or pixels (H, W, C)."""
IMAGES = (".png", ".jpg", ".jpeg")
"""Their endings; BackdoorBench itself writes the first."""
DEEP = ("I", "F")
"""The beginnings of modes with more than 8 bits per value, which would be cut."""


def decode_images(images: Sequence[ImageFile], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return images as uint8 (n, C, H, W); ``shape`` is (C, H, W).

    Raises:
        UserError: a file is missing, is not an image, or has another shape; or they do not fit in
            memory.
    """
    channels, height, width = shape
    for image in images[:1]:
        _decode(image, (height, width, channels))
    try:
        pixels = np.empty((len(images), height, width, channels), np.uint8)
    except MemoryError as error:
        raise UserError(
            f"{len(images)} images of {width}x{height} pixels do not fit in memory"
        ) from error
    for index, image in enumerate(images):
        pixels[index] = _decode(image, (height, width, channels))
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _decode(source: ImageFile, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if isinstance(source, np.ndarray):
        return _check(source, shape, "an image of the record")
    try:
        with open_image(source, ("PNG", "JPEG")) as image:
            if image.size != (shape[1], shape[0]):
                raise UserError(
                    f"{source}: {image.size[0]}x{image.size[1]} pixels, but the data set has "
                    f"{shape[1]}x{shape[0]}"
                )
            if image.mode.startswith(DEEP):
                raise UserError(f"{source}: more than 8 bits per value (mode {image.mode})")
            grey = shape[2] == 1 and image.mode != "RGB"
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except FileNotFoundError as error:
        raise UserError(f"no file {source}, which the record names") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise UserError(f"{source}: not a complete PNG file, nor a JPEG") from error
    return _check(pixels.reshape(*pixels.shape[:2], -1), shape, str(source))


def _check(pixels: NDArray[np.uint8], shape: tuple[int, int, int], where: str) -> NDArray[np.uint8]:
    if pixels.shape != shape or pixels.dtype != np.uint8:
        height, width, channels = pixels.shape
        raise UserError(
            f"{where}: {width}x{height} pixels of {channels} channels, but the data set has "
            f"{shape[1]}x{shape[0]} of {shape[2]}"
        )
    return pixels


def indexed_images(folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    """Return a folder's images ``<label>/<index>.png``, ordered by index, and their labels (n,)."""
    images = (x for x in folder.glob("*/*") if x.suffix.lower() in IMAGES)
    named = [x for x in images if _is_number(x.stem) and _is_number(x.parent.name)]
    files = sorted(named, key=lambda path: int(path.stem))
    return files, np.array([int(path.parent.name) for path in files], np.int64)


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) < LONGEST_NUMBER
