"""The clean budget: how many clean training images a defense gets, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

Shift = Literal["brightness", "contrast", "colour", "blur", "rotation", "noise"]
"""The shifts of ``harness.data.shifts``."""


@dataclass(frozen=True, kw_only=True)
class BudgetSpec:
    """A clean budget, the same rule for every class.

    A budget may be unclean: a test of how much a defense needs clean samples.

    Attributes:
        spc: images per class.
        ratio: the fraction of each class, in (0, 1]; at least one image per class.
        shift: how all images are changed.
        triggered: a share of the samples below 1, else their number: they have the trigger and the
            label that the attacker wants.
        wrong_labels: likewise; they have the label of another class.

    Raises:
        ValueError: when not exactly one of the two is given, or it is out of range.
    """

    spc: int | None = None
    ratio: float | None = None
    shift: Shift | None = None
    triggered: float | None = None
    wrong_labels: float | None = None

    def __post_init__(self) -> None:
        for name in ("triggered", "wrong_labels"):
            value = getattr(self, name)
            if value is not None and (value <= 0 or (value >= 1 and value != int(value))):
                raise ValueError(
                    f"{name}: a share below 1 or a whole number of samples is needed, not {value:g}"
                )
        if (self.spc is None) == (self.ratio is None):
            raise ValueError(
                "a budget is either 'spc' (images per class) or 'ratio' (share of each class)"
            )
        if self.spc is not None and self.spc < 1:
            raise ValueError(f"spc must be at least 1, got {self.spc}")
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise ValueError(f"ratio must lie in (0, 1], got {self.ratio:g}")

    def label(self) -> str:
        """Return the budget as boards show it: ``SPC 10``, ``5 %`` or ``SPC 10, blur``."""
        size = f"SPC {self.spc}" if self.ratio is None else f"{100 * self.ratio:g} %"
        return ", ".join(filter(None, (size, self.unclean)))

    @property
    def unclean(self) -> str:
        """What is wrong with the samples, in words; empty for a clean budget."""
        parts = [] if self.shift is None else [str(self.shift)]
        for value, word in ((self.triggered, "triggered"), (self.wrong_labels, "wrong labels")):
            if value is not None:
                parts.append(f"{f'{100 * value:g} %' if value < 1 else f'{value:g}'} {word}")
        return ", ".join(parts)

    def spec(self) -> dict[str, Any]:
        """Return what goes into a key; what is not wrong with the samples is left out."""
        size = {"spc": self.spc, "ratio": self.ratio}
        wrong = {name: x for name, x in vars(self).items() if name not in size and x is not None}
        return {**size, **wrong}

    def counts(self, train_counts: Sequence[int]) -> tuple[int, ...]:
        """Return how many images of each class are drawn, given how many there are."""
        if self.spc is not None:
            return (self.spc,) * len(train_counts)
        ratio = self.ratio or 0.0
        return tuple(max(1, round(ratio * count)) for count in train_counts)

    def fault(self, train_counts: Sequence[int]) -> str | None:
        """Return what is wrong if a class is smaller than the budget, else None."""
        for index, (needed, available) in enumerate(
            zip(self.counts(train_counts), train_counts, strict=True)
        ):
            if needed > available:
                return f"{self.label().lower()}: class {index} has only {available} training images"
        return None


def draw_budget(labels: NDArray[np.int64], budget: BudgetSpec, seed: int) -> NDArray[np.int64]:
    """Draw the budget's images: their indices in the training set, class by class.

    Every image gets one random key, and of each class those with the lowest keys are drawn, so
    that a smaller budget is a subset of a larger one with the same seed. The keys are the raw
    output of PCG64, which numpy keeps the same in all versions.

    Args:
        labels: int64 (N,), the classes of the training images; every class from 0 to the largest
            occurs.
        budget: how many images of each class.
        seed: 0 or more.

    Returns:
        int64 (sum of counts,), indices; classes in order, and within a class in the order drawn.

    Raises:
        UserError: a class has fewer images than the budget needs.
    """
    available = np.bincount(labels).tolist()
    if fault := budget.fault(available):
        raise UserError(f"{fault}; choose a smaller budget")
    keys = np.random.PCG64(seed).random_raw(len(labels))
    order = np.lexsort((keys, labels))
    starts = np.cumsum([0, *available[:-1]])
    drawn = [
        order[start : start + count]
        for start, count in zip(starts, budget.counts(available), strict=True)
    ]
    return np.concatenate(drawn).astype(np.int64)
