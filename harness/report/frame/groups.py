"""What may be averaged together: one group of cells per data set, model and training recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from harness.plan.keys import slug
from harness.plan.paper import Paper
from harness.report.frame.display_names import DisplayNames

GROUP = ["data", "model", "recipe"]
"""The columns of a frame that tell groups apart; no mean pools two of their values."""
EXTRA_ACCESS = {"triggers": "oracle", "external": "external"}
"""By ``needs``: what boards call a defense that is given more than a clean budget."""
BOARD_SECTIONS = ("", *EXTRA_ACCESS.values())
"""The sections of a leaderboard, in order; the first has no heading."""
MAX_PANELS = 6
"""The most budgets that get a panel in a figure; its CSV file has all of them."""


@dataclass(frozen=True, eq=False)
class BoardGroup:
    """The cells of one leaderboard and one figure, each once (see ``means.deduplicate``)."""

    title: str
    """For readers: "cifar10 · PreAct-ResNet-18"."""
    slug: str
    """For file names: "cifar10_preactresnet18"; empty when there is only one group."""
    frame: pd.DataFrame
    names: DisplayNames = field(default_factory=DisplayNames)
    paper: Paper = field(default_factory=Paper)
    """The page that its tables and figures are made for."""

    @cached_property
    def budgets(self) -> list[str]:
        """The labels of the clean budgets, the smallest first."""
        return budgets(self.frame)

    def budgets_in(self, rows: pd.DataFrame) -> list[str]:
        """Return the labels of the budgets that rows with a column ``budget`` have, in order."""
        there = set(rows["budget"].unique())
        return [label for label in self.budgets if label in there]

    def largest(self, labels: Sequence[str]) -> str:
        """Return the largest of some budgets; an unclean one only if no other is among them."""
        unclean = set(self.frame.loc[self.frame["unclean"].ne(""), "budget"])
        return ([label for label in labels if label not in unclean] or list(labels))[-1]

    def panel_budgets(self, labels: list[str], most: float = MAX_PANELS) -> list[str]:
        """Return the budgets that get a panel: all, or as many as there is room for, evenly spread.

        ``most`` is the room; one panel is always drawn, of the largest budget, and never more than
        MAX_PANELS.
        """
        count = max(1, min(len(labels), MAX_PANELS, int(most)))
        if count == 1:
            return [self.largest(labels)] if labels else []
        return [labels[round(i * (len(labels) - 1) / (count - 1))] for i in range(count)]

    @cached_property
    def extra_access(self) -> dict[str, str]:
        """The defenses that are given more than a clean budget, with "oracle" or "external"."""
        return extra_access(self.frame)

    def only(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of this group among rows with the columns of ``GROUP``."""
        own = self.frame[GROUP].drop_duplicates()
        return rows[pd.MultiIndex.from_frame(rows[GROUP]).isin(pd.MultiIndex.from_frame(own))]

    def legend_label(self, defense: str) -> str:
        """Return a defense's name as figures show it."""
        return legend_label(defense, self.extra_access, self.names)


def split_groups(
    frame: pd.DataFrame, names: DisplayNames | None = None, paper: Paper | None = None
) -> list[BoardGroup]:
    """Return the groups in order of their labels; recipes are named only if there are several."""
    names, paper = names or DisplayNames(), paper or Paper()
    columns = GROUP if frame["recipe"].nunique() > 1 else GROUP[:2]
    groups = []
    for labels, cells in frame.groupby(GROUP, dropna=False):
        named = dict(zip(columns, map(str, labels), strict=False))
        title = " · ".join(names.of(column, label) for column, label in named.items())
        file_name = "_".join(slug(label, "-") for label in named.values())
        groups.append(BoardGroup(title, file_name, cells, names, paper))
    return [replace(group, slug="") for group in groups] if len(groups) == 1 else groups


def budgets(frame: pd.DataFrame) -> list[str]:
    """Return the labels of the clean budgets, the smallest (in images) first."""
    sizes = frame.groupby("budget")["n_clean"].min().sort_index()
    return [str(label) for label in sizes.sort_values(kind="stable").index]


def section_label(budget: str, access: str) -> str:
    """Return the heading of a board's section: "SPC 10", or "SPC 10 · oracle"."""
    return " · ".join(filter(None, (budget, access)))


def budgets_note(drawn: Sequence[str], labels: Sequence[str]) -> str:
    """Return which of the budgets are drawn; nothing where all of them are."""
    if len(drawn) == len(labels):
        return ""
    return f"Drawn of {len(labels)} budgets: {', '.join(drawn)}."


def extra_access(frame: pd.DataFrame) -> dict[str, str]:
    """Return the defenses that are given more than a clean budget, with "oracle" or "external"."""
    rows = frame[frame["needs"].isin(EXTRA_ACCESS)].drop_duplicates("defense")
    return dict(zip(rows["defense"], rows["needs"].map(EXTRA_ACCESS), strict=True))


def legend_label(defense: str, extra_access: Mapping[str, str], names: DisplayNames) -> str:
    """Return a defense's name, followed by its extra access where the name does not say it."""
    name = names.of("defense", defense)
    access = extra_access.get(defense, defense)
    return name if access == defense else f"{name} ({access})"
