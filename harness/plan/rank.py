"""How boards are sorted: by which number, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Rank:
    """The number that sorts boards and decides which defense is compared with the others."""

    by: Literal["rir", "der", "acc", "asr", "ra", "solved", "worst_asr"] = "rir"
    """DER rewards a network that collapses to one class: its ASR falls as far as its ACC. RIR, the
    robust improvement rating of BackdoorBench (arXiv 2206.12654), counts triggered images that are
    classified as what they are, so that such a network is below one without a defense."""
