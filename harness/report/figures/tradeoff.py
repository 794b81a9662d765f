"""ACC against ASR with the Pareto front: what a lower ASR costs in clean accuracy."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes

from harness.plan.names import NO_DEFENSE
from harness.report import Drawing, figure
from harness.report.frame.groups import BoardGroup
from harness.report.frame.metric_info import number
from harness.report.frame.report_data import ReportData
from harness.report.plotting.scatter import AxesPair, points, scatter
from harness.report.plotting.style import method_styles


@figure(
    title="ACC and ASR, {group}",
    caption="ACC against ASR, means with the 95 % intervals of three repeats or more; the upper "
    "left corner is best. The grey line is "
    "the Pareto front of the methods that need clean images alone.",
    invertible=True,
)
def tradeoff(group: BoardGroup, report: ReportData) -> Drawing:
    """Draw the defenses of a group."""
    pair = AxesPair(x="asr", y="acc", finish=_finish)
    data = points(group, pair)
    styles = method_styles(report.defenses, group.extra_access, group.paper.ours)
    drawing = scatter(data, group, styles, pair)
    return replace(drawing, alt=f"{drawing.alt} {_front_text(data, group)}")


def _front_text(data: pd.DataFrame, group: BoardGroup) -> str:
    """Return the methods on the Pareto front at the largest budget, by rising ASR."""
    competing = ~data["defense"].isin([NO_DEFENSE, *group.extra_access])
    rows = data[data["budget"].eq(group.largest(group.budgets)) & competing]
    methods = (
        f"{group.legend_label(row['defense'])} "
        f"(ASR {number(row['asr_mean'])}, ACC {number(row['acc_mean'])})"
        for row in pareto_front(rows).to_dict("records")
    )
    return f"On the front: {', '.join(methods)}."


def pareto_front(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the points that no other beats in both, by rising ASR (asr_mean and acc_mean)."""
    ordered = rows.sort_values(["asr_mean", "acc_mean"], ascending=[True, False])
    best_before = ordered["acc_mean"].astype(float).cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["acc_mean"].gt(best_before)]


def _finish(axes: Axes, rows: pd.DataFrame) -> None:
    front = pareto_front(rows)
    axes.step(
        front["asr_mean"], front["acc_mean"], where="post", color="0.6", linewidth=0.9, zorder=1
    )
    axes.set(xlabel="ASR (%)", ylabel="ACC (%)")
