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

    def renamed(self, names: Mapping[str, str]) -> DisplayNames:
        """Return these names with others for some labels, in whatever column they are."""
        columns = ("defense", "attack", "model")
        given = {(column, label): name for label, name in names.items() for column in columns}
        return DisplayNames({**self.names, **given})

    def of(self, column: str, label: str) -> str:
        """Return the name of a label in a column of the frame."""
        unnamed = "no defense" if (column, label) == ("defense", NO_DEFENSE) else label
        return self.names.get((column, label), unnamed)
