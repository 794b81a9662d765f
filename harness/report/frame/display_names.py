"""Names for readers: what boards, figures and the page show for the labels in a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.plan.names import NO_DEFENSE


@dataclass(frozen=True)
class DisplayNames:
    """The names of defenses, attacks and models; a label without a name is shown as it is.

    Files for programs (CSV) keep the labels.
    """

    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By column of the frame ("defense", "attack", "model") and label."""

    def of(self, column: str, label: str) -> str:
        """Return the name of a label in a column of the frame."""
        if column == "defense" and label == NO_DEFENSE:
            return "no defense"
        return self.names.get((column, label), label)
