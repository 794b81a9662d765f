"""The gate: the ACC and ASR that a victim must reach for its cells to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.contract import Share


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a victim must reach for its cells to count in an average."""

    acc: Share = 0.0
    asr: Share = 0.8
    acc_margin: Share | None = None
    """How far ACC may be below the clean model's. If a number is given, the study trains clean
    models. If not, the margin is MARGIN where there is a clean model anyway, and there is no such
    condition elsewhere."""
    run: Literal["planted", "all"] = "planted"
    """Which cells are run: those of victims that pass, or of all."""

    MARGIN: ClassVar[float] = 0.05

    def passed(self, acc: float, asr: float | None, clean_acc: float | None = None) -> bool:
        """Tell whether a victim counts. All are fractions; ``clean_acc``: the clean model's ACC.

        ``asr`` is None for a model without a backdoor, of which no ASR is demanded.
        """
        return self.fault(acc, asr, clean_acc) is None

    def fault(self, acc: float, asr: float | None, clean_acc: float | None = None) -> str | None:
        """Return why a victim with these scores does not count; None if it does."""
        margin = self.MARGIN if self.acc_margin is None else self.acc_margin
        least = self.acc if clean_acc is None else max(self.acc, clean_acc - margin)
        if asr is not None and asr < self.asr:
            return f"ASR is {100 * asr:.1f} %, the gate is {100 * self.asr:g} %"
        if acc < least:
            return f"ACC is {100 * acc:.1f} %, the gate is {100 * least:g} %"
        return None

    def __str__(self) -> str:
        """Return the rule in words."""
        margin = self.MARGIN if self.acc_margin is None else self.acc_margin
        floor = f", ACC >= {100 * self.acc:g} %" if self.acc else ""
        return (
            f"ASR >= {100 * self.asr:g} %{floor}, ACC at most {100 * margin:g} points "
            "below the clean model's, where there is one."
        )
