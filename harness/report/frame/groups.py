"""What may be averaged together: one part of the frame per data set, model and training recipe."""

from __future__ import annotations

import re
from typing import NamedTuple

import pandas as pd

from harness.plan.spec import NO_DEFENSE

PRIVILEGES = {"triggers": "oracle", "external": "external"}
"""What boards call a method that needs more than a clean budget."""
PANELS = 6
"""A figure has at most so many panels for budgets; its CSV has all of them."""
SECTIONS = ("", *PRIVILEGES.values())
"""Of a board, in order."""


class BoardGroup(NamedTuple):
    """The cells of one board and one figure, as of ``statistics.distinct``."""

    title: str  # for readers: "cifar10 · preactresnet18"
    slug: str  # for file names: "cifar10_preactresnet18"
    frame: pd.DataFrame


def split_groups(frame: pd.DataFrame) -> list[BoardGroup]:
    """Return the parts in order of their names; the recipe is named only where there are several."""
    columns = ["data", "model", "recipe"]
    shown = 3 if frame["recipe"].nunique() > 1 else 2
    parts = []
    for names, cells in frame.groupby(columns, dropna=False):
        words = [str(name) for name in names][:shown]
        parts.append(BoardGroup(" · ".join(words), "_".join(map(_slug, words)), cells))
    return parts


def budgets(frame: pd.DataFrame) -> list[str]:
    """Return the labels of the clean-data budgets, the smallest (in images) first."""
    sizes = frame.groupby("budget")["n_clean"].min().sort_index()
    return [str(label) for label in sizes.sort_values(kind="stable").index]


def panel_budgets(labels: list[str]) -> list[str]:
    """Return the budgets that get a panel of their own: evenly spread ones, where there are many."""
    last = len(labels) - 1
    places = (
        range(len(labels))
        if last < PANELS
        else [round(i * last / (PANELS - 1)) for i in range(PANELS)]
    )
    return [labels[place] for place in places]


def extra_access(frame: pd.DataFrame) -> dict[str, str]:
    """Return the defenses that are given more than a clean budget, and what they are called for it."""
    more = frame[frame["needs"].isin(PRIVILEGES)].drop_duplicates("defense")
    return dict(zip(more["defense"], more["needs"].map(PRIVILEGES), strict=True))


def display(defense: str) -> str:
    """Return the defense's name for a reader."""
    return "no defense" if defense == NO_DEFENSE else defense


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
