"""The tables made of blocks: the layout of the IMS paper, splits by data and model, cost."""

from __future__ import annotations

import pandas as pd

from harness.report.frame.groups import BoardGroup, budgets, extra_access
from harness.report.stats.means import summarize
from harness.report.tables.leaderboard import left_out_text
from harness.report.typeset.crosstab import MARKS, TableLayout, heading, ordered, text_tables, cell_texts
from harness.report.typeset.table import TextTable

SCORES = ("acc", "asr", "ra")
COST = ("seconds", "peak_mem_mb")
MEAN = "mean"


def attack_sheets(part: BoardGroup, order: pd.DataFrame) -> list[TextTable]:
    """Return the layout of the IMS paper (arXiv 2509.15497): rows attacks, columns defenses; one per budget.

    The defenses stand as in ``order``, the part's leaderboard. The row ``mean`` weighs every attack
    of its section the same; a section of one attack has none.
    """
    each = summarize(part.frame, ["budget", "rate", "attack", "defense"], SCORES)
    several = (
        part.frame.groupby(["budget", "rate"], dropna=False)["attack"].transform("nunique").gt(1)
    )
    mean = summarize(part.frame[several], ["budget", "rate", "defense"], SCORES).assign(attack=MEAN)
    whole = pd.concat([each, mean[each.columns]], ignore_index=True)
    whole["rate"] = whole["rate"].map(_rate)
    whole["text"] = cell_texts(whole, extra_access(part.frame))
    found = []
    for budget in budgets(part.frame):
        frame = part.frame[part.frame["budget"].eq(budget)]
        table = whole[whole["budget"].eq(budget)]
        orders = {
            "rate": list(dict.fromkeys(table["rate"])),
            "attack": [*sorted(set(frame["attack"])), MEAN],
            "defense": ordered(
                order.loc[order["budget"].eq(budget), "defense"].tolist(), table, "defense"
            ),
        }
        layout = TableLayout(sections="rate", rows="attack", columns="defense", metrics=SCORES)
        caption = f"Percent, means over seeds. {MARKS}"
        head = heading(f"{part.title}, {budget}", "attack", caption, left_out_text(frame))
        found += text_tables(table, layout, orders, head)
    return found


def split_sheets(parts: list[BoardGroup], frame: pd.DataFrame) -> list[TextTable]:
    """Return defenses by data and model, one section per budget."""
    pieces = [
        summarize(part.frame, ["budget", "defense"], SCORES).assign(part=part.title)
        for part in parts
    ]
    table = pd.concat(pieces, ignore_index=True)
    table.insert(0, "part", table.pop("part"))
    table["text"] = cell_texts(table, extra_access(frame))
    orders = {
        "budget": budgets(frame),
        "defense": sorted(set(table["defense"])),
        "part": [part.title for part in parts],
    }
    layout = TableLayout(sections="budget", rows="defense", columns="part", metrics=SCORES)
    caption = f"Percent, means over attacks, poison rates and seeds. {MARKS}"
    head = heading("By data and model", "defense", caption, left_out_text(frame))
    return text_tables(table, layout, orders, head)


def cost_sheets(part: BoardGroup) -> list[TextTable]:
    """Return seconds and peak memory of every defense at every budget."""
    table = summarize(part.frame, ["budget", "defense"], COST).assign(all="")
    table.insert(0, "all", table.pop("all"))
    table["text"] = cell_texts(table, extra_access(part.frame))
    orders = {"all": [""], "defense": sorted(set(table["defense"])), "budget": budgets(part.frame)}
    layout = TableLayout(sections="all", rows="defense", columns="budget", metrics=COST)
    caption = f"Seconds of the defense, and its peak memory in MB. {MARKS}"
    return text_tables(
        table, layout, orders, heading(part.title, "defense", caption, left_out_text(part.frame))
    )


def attack_numbers(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return the statistics of every defense per data, model, budget, poison rate and attack."""
    return summarize(
        frame, ["data", "model", "recipe", "budget", "rate", "attack", "defense"], metrics
    )


def _rate(rate: float) -> str:
    return f"poison rate {100 * rate:g} %"
