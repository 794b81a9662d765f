"""Image files that are small on disk and huge, or none, when they are decoded."""

import struct
import zlib


def png_header(width, height):
    """Return a PNG file of a header and an end."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x))
        for kind, x in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
