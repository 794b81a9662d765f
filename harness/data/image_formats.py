"""Opens image files of formats that hold pixels, and of a bounded size, before decoding anything.

Pillow goes by a file's content, not its name: of a ``.png`` that is PostScript, it would start
Ghostscript.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 1 << 26
"""The largest image that is decoded, 8192 x 8192 pixels."""


def open_image(source: Path | bytes, formats: tuple[str, ...] = FORMATS) -> Image:
    """Open an image file or its content; read the header, but no pixels yet.

    Raises:
        OSError: not a regular file, not an image of one of the formats, or larger than
            ``MOST_PIXELS``.
    """
    import PIL.Image

    if isinstance(source, Path) and not source.is_file():
        exists = source.exists() or source.is_symlink()
        kind = OSError("not a regular file") if exists else FileNotFoundError("no such file")
        raise kind
    PIL.Image.init()  # registers the formats of this version of Pillow
    known = [name for name in formats if name in PIL.Image.OPEN]
    try:
        image = PIL.Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, "r", known
        )
    except PIL.Image.DecompressionBombError as error:
        raise OSError(f"more than {MOST_PIXELS} pixels") from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise OSError(f"{image.width} x {image.height}, more than {MOST_PIXELS} pixels")
    return image


def upright(image: Image) -> Image:
    """Return the image turned as its EXIF orientation says, as ``datasets`` does, if it has one."""
    from PIL import ExifTags, ImageOps

    if image.getexif().get(ExifTags.Base.Orientation) is None:
        return image
    return ImageOps.exif_transpose(image)
