"""What is measured: its name for a reader, which direction is better, and how it is written."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

SCORES = ("acc", "asr", "ra")
"""Clean accuracy, attack success rate, robust accuracy: the fields of ``evaluation.Scores``."""


class Quantity(NamedTuple):
    """One column of numbers."""

    label: str
    better: int
    """1 if higher is better, -1 if lower is."""
    share: bool = True
    """A share in 0..1, written in percent; otherwise written in its own unit."""


QUANTITIES = {
    "acc": Quantity("ACC", 1),
    "asr": Quantity("ASR", -1),
    "ra": Quantity("RA", 1),
    "der": Quantity("DER", 1),
    "rir": Quantity("RIR", 1),
    "arr": Quantity("ARR", -1),
    "rdr": Quantity("RDR", -1),
    "acc_change": Quantity("ΔACC", 1),
    "asr_change": Quantity("ΔASR", -1),
    "ra_change": Quantity("ΔRA", 1),
    "seconds": Quantity("sec", -1, share=False),
    "peak_mem_mb": Quantity("MB", -1, share=False),
}
METRICS = list(QUANTITIES)
COMPARED = (*SCORES, "der")
"""The metrics by which defenses are compared pair by pair."""


def with_changes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with the changes of ACC, ASR and RA by the defense."""
    changes = {f"{name}_change": frame[name] - frame[f"{name}_before"] for name in SCORES}
    return frame.assign(**changes)


def number(value: float, decimals: int = 1) -> str:
    """Return a number with a real minus sign; a dash for NaN."""
    return "–" if pd.isna(value) else f"{value:z.{decimals}f}".replace("-", "−")


def percent(mean: float, high: float = float("nan")) -> str:
    """Return a share in percent, with half the width of its interval unless ``high`` is NaN."""
    half = 100 * (high - mean)
    return number(100 * mean) + ("" if pd.isna(half) else f" ± {half:.{1 if half < 99.95 else 0}f}")


def metric_text(metric: str, value: float) -> str:
    """Return a value of a metric as tables write it."""
    return percent(value) if QUANTITIES[metric].share else number(value)
