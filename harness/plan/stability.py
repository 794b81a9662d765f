"""Stability: a defense beside itself with one hyperparameter at a third, and at three times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.contract import DefenseInfo
    from harness.plan.spec import MethodSpec

FACTORS = (1 / 3, 3)
MOST_VARIED = 3
"""The most hyperparameters that a defense declares as ``varied``."""


@dataclass(frozen=True)
class Variation:
    """A defense with one hyperparameter changed; it runs for the table ``stability`` alone."""

    base: MethodSpec[DefenseInfo]
    """The defense as the study asks for it."""
    parameter: str
    value: float
    method: MethodSpec[DefenseInfo]


def is_variable(value: Any) -> bool:
    """Tell whether a hyperparameter's value can be multiplied: a number, and not 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0
