"""What is measured: its name for a reader, which direction is better, and how it is written."""

from __future__ import annotations

import pandas as pd

from harness.contract import Quantity

SCORES = ("acc", "asr", "ra")
"""Clean accuracy, attack success rate, robust accuracy: the fields of ``evaluation.Scores``."""


QUANTITIES = {
    "acc": Quantity("ACC", 1),
    "asr": Quantity("ASR", -1),
    "ra": Quantity("RA", 1),
    "der": Quantity("DER", 1),
    "rir": Quantity("RIR", 1),
    "arr": Quantity("ARR", -1, least=None),
    "rdr": Quantity("RDR", -1, least=None),
    "solved": Quantity("solved", 1),
    "acc_change": Quantity("ΔACC", 1, least=-1.0),
    "asr_change": Quantity("ΔASR", -1, least=-1.0),
    "ra_change": Quantity("ΔRA", 1, least=-1.0),
    "seconds": Quantity("sec", -1, share=False, most=None),
    "peak_mem_mb": Quantity("MB", -1, share=False, most=None),
}
SOLVED_ASR, SOLVED_DROP = 0.1, 0.02
COLLAPSED_DROP = 0.1
"""A defense that lowers ACC by more than this is marked."""
METRICS = list(QUANTITIES)
OF_TRIGGER = (*SCORES[1:], "asr_before", "ra_before", "der", "rir", "rdr")
"""What is measured with the victim's own trigger: a clean model has none, and no such number."""
COMPARED = (*SCORES, "der", "rir")
"""The metrics by which defenses are compared pair by pair."""


def with_changes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with the changes of ACC, ASR and RA by the defense, and ``solved``.

    A cell is solved (1, else 0) if ASR is below 10 % and ACC fell by less than 2 points.
    """
    changes = {f"{name}_change": frame[name] - frame[f"{name}_before"] for name in SCORES}
    solved = frame["asr"].lt(SOLVED_ASR) & changes["acc_change"].gt(-SOLVED_DROP)
    return frame.assign(**changes, solved=solved.astype(float).where(frame["asr"].notna()))


def number(value: float, decimals: int = 1) -> str:
    """Return a number with a real minus sign; a dash for NaN."""
    return "–" if pd.isna(value) else f"{value:z.{decimals}f}".replace("-", "−")


def percent(share: float) -> str:
    """Return a share in percent."""
    return number(100 * share)


def rate_text(*rates: float) -> str:
    """Return poison rates in percent; NaN is an unknown one."""
    known = ", ".join(f"{100 * rate:g}" for rate in sorted(rates) if not pd.isna(rate))
    unknown = ["unknown"] if any(map(pd.isna, rates)) else []
    return " or ".join(([f"{known} %"] if known else []) + unknown)


def metric_text(metric: str, value: float) -> str:
    """Return a value of a metric as tables write it."""
    return percent(value) if QUANTITIES[metric].share else number(value)
