"""GTSRB's tracks: the frames of one drive past a sign, which are near copies of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

_FRAME = re.compile(r"(\d+)_\d+$")


def number_tracks(names: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return int64 (N,), equal for all frames of a track; ``None`` if a name has no track number.

    Args:
        names: file names ``<track>_<frame>.<suffix>``, with or without folders; track numbers are
            counted within each class.
        labels: (N,) classes.
    """
    tracks = []
    for name, label in zip(names, labels.tolist(), strict=True):
        frame = _FRAME.match(PurePosixPath(name).stem)
        if frame is None:
            return None
        tracks.append((label, int(frame[1])))
    number = {track: index for index, track in enumerate(dict.fromkeys(tracks))}
    return np.array([number[track] for track in tracks], dtype=np.int64)
