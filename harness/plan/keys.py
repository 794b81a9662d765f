"""Keys of results: canonical JSON, its sha256, seeds derived from named parts, file names."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, no NaN.

    Raises:
        TypeError: a value that JSON cannot represent.
        ValueError: NaN or infinity.
    """
    return _JSON.encode(value)


def digest(value: Any) -> str:
    """Return 24 hexadecimal digits (96 bits) of the sha256 of ``canonical(value)``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:24]


def seed(*parts: str | int | float) -> int:
    """Return a seed in [0, 2**63) that depends on every part and on nothing else.

    The parts are names (``seed(victim_key, "train")``), so that adding a method or a seed to a
    study changes no other number.
    """
    return int.from_bytes(hashlib.sha256(canonical(list(parts)).encode()).digest()[:8], "big") >> 1


def slug(text: str, joiner: str = "_", keep: str = ".") -> str:
    """Return a text as part of a file name: ASCII letters, digits and the characters of ``keep``.

    Every run of other characters becomes one ``joiner``; none is left at either end.
    """
    return re.sub(rf"[^A-Za-z0-9{re.escape(keep)}]+", joiner, text).strip(joiner)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
