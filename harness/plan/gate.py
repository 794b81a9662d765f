"""The gate: the ACC and ASR that a victim must reach for its cells to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.contract import Share


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a victim must reach for its cells to count in an average."""

    acc: Share | None = None
    """The least ACC. If not given, a tenth of the way from guessing to always right: a network that
    gives every image the target class has an ASR of 100 %, and is no victim."""
    asr: Share = 0.8
    acc_margin: Share | None = None
    """How far ACC may be below the clean model's. If a number is given, the study trains clean
    models. If not, the margin is MARGIN where there is a clean model anyway, and there is no such
    condition elsewhere."""
    run: Literal["planted", "all"] = "planted"
    """Which cells are run: those of victims that pass, or of all."""

    MARGIN: ClassVar[float] = 0.05
    LEARNED: ClassVar[float] = 0.1
    """The least ACC, if none is given, as a share of the way from guessing to always right."""

    def fault(
        self, acc: float, asr: float | None, classes: int, clean_acc: float | None = None
    ) -> str | None:
        """Return why a victim does not count; None if it does.

        Args:
            acc: its ACC, a fraction as all.
            asr: its ASR; None for a model without a backdoor, of which none is demanded.
            classes: of the data set.
            clean_acc: the ACC of the clean model.
        """
        margin = self.MARGIN if self.acc_margin is None else self.acc_margin
        least = self.learned(classes, self.LEARNED) if self.acc is None else self.acc
        if clean_acc is not None:
            least = max(least, clean_acc - margin)
        if asr is not None and asr < self.asr:
            return f"ASR is {100 * asr:.1f} %, the gate is {100 * self.asr:g} %"
        if acc < least:
            return f"ACC is {100 * acc:.1f} %, the gate is {100 * least:.3g} %"
        return None

    @staticmethod
    def learned(classes: int, share: float) -> float:
        """Return the ACC that is a share of the way from guessing to always right."""
        return share + (1 - share) / classes

    def __str__(self) -> str:
        """Return the rule in words."""
        margin = self.MARGIN if self.acc_margin is None else self.acc_margin
        if self.acc is None:
            floor = f", ACC {100 * self.LEARNED:g} % of the way from guessing to always right"
        else:
            floor = f", ACC >= {100 * self.acc:g} %" if self.acc else ""
        return (
            f"ASR >= {100 * self.asr:g} %{floor}, ACC at most {100 * margin:g} points "
            "below the clean model's, where there is one."
        )
