"""GTSRB's tracks: its images are frames of drives past one sign, so frames of one track are near copies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

_FRAME = re.compile(r"(\d+)_\d+$")


def tracks(names: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return a number (N,) per image, the same for all frames of one track; None where a name tells no track.

    Args:
        names: file names ``<track>_<frame>.<suffix>``, folders before them or not; a track number
            counts within its class.
        labels: (N,) classes.
    """
    found = []
    for name, label in zip(names, labels.tolist(), strict=True):
        frame = _FRAME.match(PurePosixPath(name).stem)
        if frame is None:
            return None
        found.append((label, int(frame[1])))
    number = {track: index for index, track in enumerate(dict.fromkeys(found))}
    return np.array([number[track] for track in found], dtype=np.int64)
