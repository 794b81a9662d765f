"""Decodes image files into uint8 arrays on disk."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.data.image_formats import open_image, upright
from harness.data.splits import Encoded, RawDataset, Split
from harness.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 1024  # images decoded between two writes: 3 MB of 32 x 32 pixels, 79 MB of 160 x 160
_GRAY = frozenset(("1", "L", "LA", "La"))
_DEEP = ("I", "F")  # more than 8 bits per channel
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    struct.error,
)  # what Pillow raises on damaged files

Shape = tuple[int, int, int]
GROUPS = "train_groups.npy"


def decode(raw: RawDataset, size: int | None, folder: Path) -> tuple[str, Shape]:
    """Write ``{train,test}_{images,labels}.npy`` into a folder.

    Images are (N, C, H, W) uint8; C is 1 if every image is gray, else 3. Labels are (N,) int64. If
    the training images come in groups of near copies, ``train_groups.npy`` holds the group numbers,
    (N,) int64.

    Args:
        raw: the data set.
        size: H and W in pixels, by bilinear resizing; ``None`` keeps the images' size.
        folder: an existing folder.

    Returns:
        The content's digest, 16 hexadecimal characters over shapes, pixels and labels; and (C, H,
        W).

    Raises:
        UserError: an image is damaged, sizes differ and no ``size`` is given, or only one split
            is all gray.
    """
    channels = _channels(raw)
    shape = (channels, size, size) if size else (channels, *_size_of_first(raw.train))
    content = hashlib.sha256()
    for name, split in (("train", raw.train), ("test", raw.test)):
        full = (len(split.labels), *shape)
        content.update(repr(full).encode())
        with (folder / f"{name}_images.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": full}
            np.lib.format.write_array_header_1_0(file, header)
            for pixels in _batches(split, shape, resize=size is not None):
                content.update(pixels.data)
                file.write(pixels.data)
        np.save(folder / f"{name}_labels.npy", split.labels)
        content.update(split.labels.astype("<i8").data)
    if raw.train.groups is not None:
        np.save(folder / GROUPS, raw.train.groups)
    return content.hexdigest()[:16], shape


def _batches(split: Split, shape: Shape, *, resize: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield the split's pixels in order, (n, C, H, W) at a time."""
    rows = len(split.labels)
    for start in range(0, rows, BATCH):
        items = split.fetch(start, start + BATCH)
        pixels = np.empty((len(items), *shape), np.uint8)
        for offset, item in enumerate(items):
            pixels[offset] = _pixels(
                item, _where(split, start + offset, item), shape, resize=resize
            )
        yield pixels


def _pixels(item: Encoded, where: str, shape: Shape, *, resize: bool) -> NDArray[np.uint8]:
    """Return one image as (C, H, W)."""
    from PIL.Image import Resampling

    channels, height, width = shape
    try:
        with _open(item, where) as image:
            if not resize and sorted(image.size) != sorted((width, height)):
                raise _differs(where, image, width, height)
            plain = upright(image).convert("L" if channels == 1 else "RGB")
    except _BROKEN as error:
        raise _damaged(where, error) from error
    if plain.size != (width, height):
        if not resize:
            raise _differs(where, plain, width, height)
        plain = plain.resize((width, height), Resampling.BILINEAR)
    return np.asarray(plain).reshape(height, width, channels).transpose(2, 0, 1)


def _differs(where: str, image: Image, width: int, height: int) -> UserError:
    return UserError(
        f"{where}: {image.width} x {image.height} pixels, "
        f"but the first is {width} x {height}; set 'size'"
    )


def _channels(raw: RawDataset) -> int:
    """Return 1 if all images are gray, else 3."""
    train, test = (all(_are_gray(split)) for split in (raw.train, raw.test))
    if train != test:
        gray, colour = (raw.train, raw.test) if train else (raw.test, raw.train)
        raise UserError(
            f"{gray.where}: all images are gray, but {colour.where} has colour; convert one of them"
        )
    return 1 if train else 3


def _are_gray(split: Split) -> Iterator[bool]:
    """Yield whether each image is gray, from its header."""
    for start in range(0, len(split.labels), BATCH):
        for row, item in enumerate(split.fetch(start, start + BATCH), start):
            with _open(item, _where(split, row, item)) as image:
                yield image.mode in _GRAY


def _size_of_first(split: Split) -> tuple[int, int]:
    """Return (H, W) of the split's first image."""
    item = split.fetch(0, 1)[0]
    where = _where(split, 0, item)
    try:
        with _open(item, where) as image:
            first = upright(image)
    except _BROKEN as error:
        raise _damaged(where, error) from error
    return first.height, first.width


def _open(item: Encoded, where: str) -> Image:
    """Open one image; reads the header, but no pixels yet."""
    import PIL.Image

    if item is None:
        raise UserError(f"{where}: no image")
    if isinstance(item, np.ndarray):
        return PIL.Image.fromarray(item)
    try:
        image = open_image(item)
    except _BROKEN as error:
        raise _damaged(where, error) from error
    if image.mode.startswith(_DEEP):
        image.close()
        raise UserError(
            f"{where}: more than 8 bits per channel (mode {image.mode}); convert to 8 bits"
        )
    return image


def _where(split: Split, row: int, item: Encoded) -> str:
    if isinstance(item, Path):
        return str(item)
    column = f", column {split.column!r}" if split.column else ""
    return f"{split.where}{column}, row {row}"


def _damaged(where: str, error: Exception) -> UserError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return UserError(f"{where}: not an image file; fix or remove it")
    if isinstance(error, FileNotFoundError):
        return UserError(f"{where}: no such file, which the data set names; add it")
    return UserError(f"{where}: damaged image ({error}); fix or remove it")
