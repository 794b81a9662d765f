"""Compares two stores: which numbers moved beyond their intervals, which cells fail now.

Every cell that finished in both is paired with itself, and the differences B - A are averaged like
any number of a report: over conditions and seeds, with the clustered interval (see ``means``). A
number has moved when its 95 % interval excludes zero. Of many numbers some would do so by chance,
so a regression is called significant when the interval still excludes zero at 1 - 0.05/m, for m
numbers compared (Bonferroni). A cell that finished in A and failed in B is a regression by itself.
A number with one seed has no interval: its change is shown, and never called significant. Seconds
depend on the machine; they are shown, and no regression.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from harness.errors import UserError
from harness.report.frame.groups import GROUP
from harness.report.frame.metric_info import COMPARED, QUANTITIES, number
from harness.report.match_cells import StoreCells, store_cells
from harness.report.stats.means import deduplicate, summarize
from harness.report.typeset.render import terminal
from harness.report.typeset.table import Row, Section, TextTable
from harness.store.record import Status
from harness.store.record_files import LatestRecords
from harness.store.store import Store

BY = [*GROUP, "budget", "defense"]
SHOWN = (*COMPARED, "seconds")
LEVEL = 0.05
HEADER = ("defense", "budget", "metric", "A", "B", "B - A", "seeds", "verdict")


class Compared(NamedTuple):
    """How store B differs from store A."""

    numbers: pd.DataFrame
    """One row per group, budget, defense and metric: before, after, mean difference, verdict."""
    failures: list[str]
    """Names of the cells that finished in A and failed in B."""
    regressed: bool
    terminal: RenderableType


def compare_stores(before: Store, after: Store) -> Compared:
    """Compare the newest records of two stores.

    Raises:
        UserError: they have no finished cell in common, or damaged records.
    """
    a, b = (store_cells(LatestRecords(x.lines(scalars=False))) for x in (before, after))
    both = a.cells.index.intersection(b.cells.index)
    ok_in_a, ok_in_b = _finished(a, both), _finished(b, both)
    done = both[ok_in_a & ok_in_b]
    if done.empty:
        raise UserError(f"{before.folder} and {after.folder} have no finished cell in common")
    failures = sorted(a.cells.loc[both[ok_in_a & ~ok_in_b], "name"])
    numbers = differences(a.cells.loc[done], b.cells.loc[done])
    regressed = bool(failures) or bool(numbers["verdict"].eq("worse, significant").any())
    lines = [
        f"{len(done)} cells finished in both; "
        f"{len(a.cells) - len(both)} only in A, {len(b.cells) - len(both)} only in B.",
        *(f"Other version: {line}" for line in version_changes(a, b)),
        *(f"Failed in B only: {name}" for name in failures),
        *_shared_seconds(a.cells.loc[done], "A"),
        *_shared_seconds(b.cells.loc[done], "B"),
    ]
    return Compared(numbers, failures, regressed, _render(lines, numbers))


def _finished(store: StoreCells, keys: pd.Index[str]) -> pd.Series[bool]:
    if keys.empty:
        return pd.Series(dtype=bool)
    finished: pd.Series[bool] = store.cells["status"].eq(Status.OK)
    return finished.reindex(keys)


def _shared_seconds(cells: pd.DataFrame, store: str) -> list[str]:
    """Return a line where seconds say more than what a defense takes."""
    shared = int(cells["shared"].sum())
    said = f"Seconds in {store}: several workers shared the GPU in {shared} of {len(cells)} cells."
    return [said] if shared else []


def differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return ``Compared.numbers`` from the finished cells of both stores, in the same order."""
    metrics = list(SHOWN)
    gap = deduplicate(b.assign(**{name: b[name] - a[name] for name in metrics}))
    numbers = summarize(gap, BY, metrics, quantities={})
    compared = numbers["metric"].isin(COMPARED)
    n_tests = int((compared & numbers["low"].notna()).sum())
    strict = summarize(gap, BY, metrics, level=1 - LEVEL / max(1, n_tests), quantities={})
    numbers["before"] = summarize(deduplicate(a), BY, metrics)["mean"]
    numbers["after"] = summarize(deduplicate(b), BY, metrics)["mean"]
    better = numbers["metric"].map(lambda name: QUANTITIES[name].better)
    changed, worse = numbers["mean"].ne(0), (numbers["mean"] * better).lt(0)
    moved = _excludes_zero(numbers)
    numbers["verdict"] = "same"
    numbers.loc[changed, "verdict"] = "within its interval"
    numbers.loc[changed & numbers["low"].isna(), "verdict"] = "changed, no interval"
    numbers.loc[moved, "verdict"] = "better"
    numbers.loc[moved & worse, "verdict"] = "worse"
    numbers.loc[_excludes_zero(strict) & compared & worse, "verdict"] = "worse, significant"
    return numbers


def _excludes_zero(table: pd.DataFrame) -> pd.Series[bool]:
    return table["low"].gt(0) | table["high"].lt(0)


def version_changes(a: StoreCells, b: StoreCells) -> list[str]:
    """Return one line for everything in both stores that was made by other versions."""
    lines = []
    for name in sorted(a.versions.keys() & b.versions.keys()):
        in_a, in_b = a.versions[name], b.versions[name]
        if in_a != in_b:
            lines.append(f"{name}: {_version_text(in_a)} in A, {_version_text(in_b)} in B")
    return lines


def _version_text(versions: set[str]) -> str:
    return "version " + ", ".join(sorted(versions))


def _render(lines: list[str], numbers: pd.DataFrame) -> RenderableType:
    moved = numbers[~numbers["verdict"].isin(["same", "within its interval"])]
    if moved.empty:
        lines = [*lines, f"None of {len(numbers)} numbers moved beyond its interval."]
        return Group(*map(Text, lines))
    sections = [
        Section(label=f"{data} · {model}", rows=[_row(row) for row in rows.to_dict("records")])
        for (data, model), rows in moved.groupby(["data", "model"])
    ]
    caption = (
        "Shares in percent, B - A with its 95 % interval, over the cells of both. "
        f"{len(numbers) - len(moved)} other numbers are the same or within their interval. "
        f"significant: at level {LEVEL:g} over all numbers together."
    )
    table = TextTable(title="What moved", header=HEADER, sections=sections, caption=caption)
    return Group(*map(Text, lines), terminal([table]))


def _row(row: dict[object, object]) -> Row:
    quantity = QUANTITIES[str(row["metric"])]
    factor = 100 if quantity.share else 1
    before, after, mean, high = (
        factor * float(str(row[name])) for name in ("before", "after", "mean", "high")
    )
    half = "" if pd.isna(high) else f" ± {number(high - mean)}"
    return (
        str(row["defense"]),
        str(row["budget"]),
        quantity.label,
        number(before),
        number(after),
        f"{number(mean)}{half}",
        str(row["n_seeds"]),
        str(row["verdict"]),
    )
