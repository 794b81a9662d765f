"""Images of a foreign record: PNG files, or pixels that came with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harness.errors import UserError

ImageFile = Path | NDArray[np.uint8]
"""A file, or pixels (H, W, C)."""


def pixels(pictures: Sequence[ImageFile], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return pictures as uint8 (n, C, H, W); ``shape`` is (C, H, W).

    Raises:
        UserError: a file is missing or no image, or of another size.
    """
    channels, height, width = shape
    made = np.empty((len(pictures), height, width, channels), np.uint8)
    for place, picture in enumerate(pictures):
        made[place] = _decoded(picture, (height, width, channels))
    return np.ascontiguousarray(made.transpose(0, 3, 1, 2))


def _decoded(picture: ImageFile, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if isinstance(picture, np.ndarray):
        return _sized(picture, shape, "an image of the record")
    try:
        with Image.open(picture, formats=["PNG"]) as image:
            if image.size != (shape[1], shape[0]):
                raise UserError(
                    f"{picture}: {image.size[0]}x{image.size[1]} pixels, but the data set has "
                    f"{shape[1]}x{shape[0]}"
                )
            found = np.asarray(
                image.convert("L") if shape[2] == 1 and image.mode != "RGB" else image
            )
    except FileNotFoundError as error:
        raise UserError(f"no file {picture}, which the record names") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{picture}: no whole PNG image") from error
    return _sized(found.reshape(*found.shape[:2], -1), shape, str(picture))


def _sized(found: NDArray[np.uint8], shape: tuple[int, int, int], where: str) -> NDArray[np.uint8]:
    if found.shape != shape or found.dtype != np.uint8:
        height, width, channels = found.shape
        raise UserError(
            f"{where}: {width}x{height} pixels of {channels} channels, but the data set has "
            f"{shape[1]}x{shape[0]} of {shape[2]}"
        )
    return found


def numbered(folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    """Return the files ``<label>/<index>.png`` of a folder in order of their index, and their labels (n,)."""
    found = [x for x in folder.glob("*/*.png") if x.stem.isdecimal() and x.parent.name.isdecimal()]
    files = sorted(found, key=lambda path: int(path.stem))
    return files, np.array([int(path.parent.name) for path in files], np.int64)
