"""What the marks behind numbers mean."""

from __future__ import annotations

from harness.report.frame.metric_info import COLLAPSED_DROP

FALL = f"‡: ACC fell by more than {100 * COLLAPSED_DROP:g} points"
SHARED = "§: measured while several workers shared the GPU; alone it takes less."
MARKS = {
    "†": "†: fewer cells than planned, so a mean over fewer than others.",
    "‡": f"{FALL}.",
    "§": SHARED,
}
"""By mark, the sentence of a caption."""
