"""Keys of results: canonical JSON, its sha256, and seeds that are derived from named parts."""

from __future__ import annotations

import hashlib
import json
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


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
