"""What is seen in a figure, in numbers: for readers of the page who hear it instead."""

from __future__ import annotations

import pandas as pd

from harness.plan.names import NO_DEFENSE
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import QUANTITIES, metric_text


def range_text(values: pd.Series[float], metric: str, group: BoardGroup) -> str:
    """Return the ends of a metric's values: ``ASR from 0.3 (IMS) to 98.2 (FT)``.

    Args:
        values: in the metric's unit, shares in [0, 1]; the index has the labels of defenses.
        metric: what they are.
        group: has the names of the defenses.
    """
    known = values[values.index != NO_DEFENSE].dropna().sort_values(kind="stable")
    label = QUANTITIES[metric].label
    if known.empty:
        return f"no {label}"
    ends = [
        f"{metric_text(metric, known.iloc[at])} ({group.legend_label(str(known.index[at]))})"
        for at in (0, -1)
    ]
    return f"{label} from {' to '.join(ends)}" if len(known) > 1 else f"{label} {ends[0]}"


def summary_text(summary: pd.DataFrame, group: BoardGroup) -> str:
    """Return the ranges of every metric over the defenses at the largest budget.

    ``summary`` has the columns budget, metric, defense and mean, in the metric's unit; of several
    means of a defense, such as one per poison rate, the last counts.
    """
    budgets = group.budgets_in(summary)
    if not budgets:
        return ""
    largest = group.largest(budgets)
    rows = summary[summary["budget"].eq(largest)].drop_duplicates(
        ["metric", "defense"], keep="last"
    )
    ranges = [
        range_text(means.set_index("defense")["mean"], str(metric), group)
        for metric, means in rows.groupby("metric", sort=False)
    ]
    return f"At {largest}: {'; '.join(ranges)}."
