"""Names that the plan shares with its readers: control methods, and why there is no record."""

from __future__ import annotations

from enum import StrEnum

NO_DEFENSE = "none"
"""The defense that returns the victim unchanged."""
NO_ATTACK = "none"
"""The attack whose victims are clean models."""


class PlanStatus(StrEnum):
    """Why something planned has no record."""

    SKIP = "skip"
    """The study leaves it out, and says why."""
    MISSING = "missing"
    """It has yet to run."""
    NOT_PLANTED = "not planted"
    """Its victim's attack failed the gate."""
