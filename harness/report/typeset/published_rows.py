"""Published numbers as rows of an attack table, each below the study's own row of its defense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from harness.report.frame.display_names import DisplayNames
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import SCORES, number
from harness.report.stats.published_means import PublishedMeans

NOTE = (
    " Rows marked published are no results of this study and take no part in bold and underline; "
    "their mean is given where they have all of the attacks."
)
_SUFFIX = " published"
_PLACE = ["budget", "rate", "attack", "defense", "metric"]


def published_rows(
    summary: pd.DataFrame, rates: pd.DataFrame, group: BoardGroup, compared: PublishedMeans
) -> pd.DataFrame:
    """Return budget, rate, attack, defense, metric and text of a group's published numbers.

    They are at the largest budget where the study has a counterpart of them. The attack "mean" is
    given where every attack of the study's own mean has a published number.

    Args:
        summary: the study's own numbers of each attack, with budget, rate, attack and mean.
        rates: attack, rate (a share), and ``name``, which ``summary`` has for the rate.
        group: the cells of the study.
        compared: its means with a published counterpart.
    """
    named = rates.assign(rate=rates["rate"].astype(float).round(6)).drop_duplicates()
    rows = group.only(compared.rows).merge(named, on=["attack", "rate"])
    rows = rows.drop(columns="rate").rename(columns={"name": "rate"})
    budgets = group.budgets_in(rows)
    largest = [group.largest(budgets)] if budgets else []
    scores = [f"published_{name}" for name in SCORES]
    each = rows[rows["budget"].isin(largest)].melt(_PLACE[:-1], scores, "metric", "value")
    each["metric"] = each["metric"].str.removeprefix("published_")
    own = summary[summary["mean"].notna()].groupby(["budget", "rate"])["attack"]
    pooled = each.groupby([x for x in _PLACE if x != "attack"], as_index=False).agg(
        value=("value", "mean"), n_attacks=("attack", "size")
    )
    pooled = pooled.merge(own.nunique().rename("n_own").reset_index(), on=["budget", "rate"])
    mean = pooled[pooled["n_attacks"].eq(pooled["n_own"]) & pooled["n_own"].gt(1)]
    whole = pd.concat([each, mean.assign(attack="mean")], ignore_index=True)
    whole["text"] = whole["value"].map(number)
    return whole.assign(defense=whole["defense"] + _SUFFIX)[[*_PLACE, "text"]]


def with_published(order: Iterable[str]) -> Iterator[str]:
    """Yield the labels of defenses, each followed by that of its published numbers."""
    for label in order:
        yield from (label, label + _SUFFIX)


def names_with_published(names: DisplayNames, defenses: Iterable[str]) -> DisplayNames:
    """Return display names that have the published rows of some defenses too."""
    return names.renamed({x + _SUFFIX: names.of("defense", x) + _SUFFIX for x in defenses})


def published_note(numbers: pd.DataFrame, compared: PublishedMeans | None) -> str:
    """Return what a caption says of the published rows among some numbers; nothing without any."""
    if compared is None or not numbers["defense"].str.endswith(_SUFFIX).any():
        return ""
    return f"{NOTE} {compared.protocol}"
