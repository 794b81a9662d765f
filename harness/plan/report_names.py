"""The figures and tables of a report, by name. Found by file name, without importing the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_FIGURE_ORDER = (
    "curves",
    "tradeoff",
    "heatmap",
    "spread",
    "critical",
    "cost",
    "rates",
    "ablation",
    "anatomy",
    "gallery",
    "classes",
    "pruning_curves",
    "activation_pictures",
    "published",
)
BOARD, PAGE = "leaderboard.md", "report.html"
RECORDS = "records"
"""The file with one row per cell."""
_TABLE_ORDER = (
    "leaderboard",
    "budgets",
    "attacks",
    "architectures",
    "splits",
    "hyperparameters",
    "resources",
    "victims",
    "clean",
    "probes",
    "stability",
    "ranks",
    "comparisons",
    "published_numbers",
)


def figure_names() -> tuple[str, ...]:
    """Return the names of the built-in figures, in the order of a report."""
    return _names("figures", _FIGURE_ORDER)


def table_names() -> tuple[str, ...]:
    """Return the names of the built-in tables, in the order of a report."""
    return _names("tables", _TABLE_ORDER)


def _names(folder: str, order: Sequence[str]) -> tuple[str, ...]:
    """Return the file names in ``harness/report/<folder>``: those of ``order``, then the others."""
    files = (Path(__file__).resolve().parents[1] / "report" / folder).glob("[!_]*.py")
    found = {path.stem for path in files}
    return (*(name for name in order if name in found), *sorted(found - set(order)))
