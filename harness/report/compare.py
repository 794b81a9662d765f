"""Two stores compared: which numbers moved beyond their intervals, which methods changed version, what fell.

Every cell that finished in both is paired with itself, and the differences B - A are averaged like
any number of a report: over conditions and seeds, with the clustered interval (see ``statistics``).
A number has moved when its 95 % interval leaves out zero. Of many numbers some would do so by
chance, so a regression is called significant when the interval still leaves out zero at 1 - 0.05/m,
for m numbers compared (Bonferroni). A cell that finished in A and failed in B is a regression by
itself. A number met with one seed has no interval: its change is shown, and never called
significant. Seconds depend on the machine; they are shown, and no regression.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from harness.errors import UserError
from harness.report.frame.metric_info import COMPARED, QUANTITIES, number
from harness.report.match_cells import StoreCells, store_cells
from harness.report.stats.means import deduplicate, summarize
from harness.report.typeset.render import terminal
from harness.report.typeset.table import Row, Section, TextTable
from harness.store.store import Store

BY = ["data", "model", "recipe", "budget", "defense"]
SHOWN = (*COMPARED, "seconds")
LEVEL = 0.05
FAILED = ("error", "timeout", "crash", "oom")
HEADER = ("defense", "budget", "metric", "A", "B", "B - A", "seeds", "verdict")


class Compared(NamedTuple):
    """What became of B, held against A."""

    numbers: pd.DataFrame
    """One row per data, model, budget, defense and metric: before, after, mean difference,
    verdict."""
    fell: list[str]
    """Names of the cells that finished in A and failed in B."""
    regressed: bool
    terminal: RenderableType


def compare_stores(before: Store, after: Store) -> Compared:
    """Compare the newest records of two stores.

    Raises:
        UserError: they have no finished cell in common.
    """
    a, b = store_cells(before.latest()), store_cells(after.latest())
    both = a.cells.index.intersection(b.cells.index)
    ended = {name: _statuses(of, both) for name, of in (("a", a), ("b", b))}
    done = both[ended["a"].eq("ok") & ended["b"].eq("ok")]
    if done.empty:
        raise UserError(f"{before.folder} and {after.folder} have no finished cell in common")
    fell = sorted(a.cells.loc[both[ended["a"].eq("ok") & ended["b"].isin(FAILED)], "name"])
    numbers = differences(a.cells.loc[done], b.cells.loc[done])
    regressed = bool(fell) or bool(numbers["verdict"].eq("worse, significant").any())
    alone = f"{len(a.cells) - len(both)} only in A, {len(b.cells) - len(both)} only in B"
    head = f"{len(done)} cells finished in both; {alone}."
    return Compared(numbers, fell, regressed, _shown(head, numbers, fell, versions_text(a, b)))


def _statuses(of: StoreCells, meanings: pd.Index[str]) -> pd.Series[str]:
    return of.cells.loc[meanings, "status"] if len(meanings) else pd.Series([], dtype=object)


def differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return ``Compared.numbers`` from the finished cells of both sides, in one order."""
    metrics = list(SHOWN)
    gap = deduplicate(b.assign(**{name: b[name] - a[name] for name in metrics}))
    found = summarize(gap, BY, metrics)
    known = found["low"].notna() & found["metric"].isin(COMPARED)
    strict = summarize(gap, BY, metrics, level=1 - LEVEL / max(1, int(known.sum())))
    found["before"] = summarize(deduplicate(a), BY, metrics)["mean"]
    found["after"] = summarize(deduplicate(b), BY, metrics)["mean"]
    worse = -found["metric"].map(lambda name: QUANTITIES[name].better)
    sure = _leaves_out_zero(strict) & found["metric"].isin(COMPARED) & (found["mean"] * worse > 0)
    found["verdict"] = "same"
    found.loc[found["mean"].ne(0), "verdict"] = "within its interval"
    found.loc[found["low"].isna() & found["mean"].ne(0), "verdict"] = "changed, no interval"
    moved = _leaves_out_zero(found)
    found.loc[moved, "verdict"] = (
        (found["mean"] * worse).gt(0).map({True: "worse", False: "better"})[moved]
    )
    found.loc[sure, "verdict"] = "worse, significant"
    return found


def _leaves_out_zero(table: pd.DataFrame) -> pd.Series[bool]:
    return table["low"].gt(0) | table["high"].lt(0)


def versions_text(a: StoreCells, b: StoreCells) -> list[str]:
    """Return one line for everything in both stores that was made by other versions."""
    changed = {
        name
        for name in a.versions.keys() & b.versions.keys()
        if a.versions[name] != b.versions[name]
    }
    return [f"{name}: {_listed(a, name)} in A, {_listed(b, name)} in B" for name in sorted(changed)]


def _listed(of: StoreCells, name: str) -> str:
    return "version " + ", ".join(sorted(of.versions[name]))


def _shown(
    head: str, numbers: pd.DataFrame, fell: list[str], versions: list[str]
) -> RenderableType:
    moved = numbers[~numbers["verdict"].isin(["same", "within its interval"])]
    still = len(numbers) - len(moved)
    lines = [
        head,
        *(f"Other version: {line}" for line in versions),
        *(f"Failed in B only: {name}" for name in fell),
    ]
    if moved.empty:
        return Group(
            *map(Text, [*lines, f"None of {len(numbers)} numbers moved beyond its interval."])
        )
    sections = [
        Section(
            label=" · ".join(map(str, place)), rows=[_row(line) for line in rows.to_dict("records")]
        )
        for place, rows in moved.groupby(["data", "model"])
    ]
    caption = (
        f"Shares in percent, B - A with its 95 % interval, over the cells of both. {still} other numbers "
        f"are the same or within their interval. significant: at level {LEVEL:g} over all numbers together."
    )
    sheet = TextTable(title="What moved", header=HEADER, sections=sections, caption=caption)
    return Group(*map(Text, lines), terminal([sheet]))


def _row(line: dict[object, object]) -> Row:
    metric = str(line["metric"])
    factor = 100 if QUANTITIES[metric].share else 1
    before, after, mean, high = (
        factor * float(str(line[name])) for name in ("before", "after", "mean", "high")
    )
    half = "" if pd.isna(high) else f" ± {number(high - mean)}"
    place = (str(line["defense"]), str(line["budget"]), QUANTITIES[metric].label)
    shown = (number(before), number(after), f"{number(mean)}{half}")
    return (*place, *shown, str(line["n_seeds"]), str(line["verdict"]))
