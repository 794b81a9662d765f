"""Names that the plan shares with its readers, and the rule for names that users give."""

from __future__ import annotations

from enum import StrEnum

NO_DEFENSE = "none"
"""The defense that returns the victim unchanged."""
NO_ATTACK = "none"
"""The attack whose victims are clean models."""


MOST_LETTERS = 100


def fault_of_label(name: str) -> str | None:
    """Return why users can't give a study or a victim a name, else None."""
    if len(name) > MOST_LETTERS:
        return f"a name of at most {MOST_LETTERS} letters is needed, not of {len(name):,}"
    plain = bool(name) and all(letter.isalnum() or letter in " -_.+,()" for letter in name)
    if not plain or name[0] in " ." or name[-1] == " ":
        return (
            "a name has letters, digits, spaces and -_.+,() and does not begin with a dot or a "
            f"space, unlike {name!r}"
        )
    return None


class PlanStatus(StrEnum):
    """Why something planned has no record."""

    SKIP = "skip"
    """The study leaves it out, and says why."""
    MISSING = "missing"
    """It has yet to run."""
    NOT_PLANTED = "not planted"
    """Its victim's attack failed the gate."""
