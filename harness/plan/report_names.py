"""The figures and tables of a report, by name; light, because a study is planned with it."""

from __future__ import annotations

FIGURES = (
    "curves",
    "tradeoff",
    "heatmap",
    "spread",
    "critical",
    "cost",
    "rates",
    "anatomy",
    "gallery",
    "classes",
)
"""In the order of a report. Each is the file of this name in ``harness/report/figures``."""
BOARD, PAGE = "leaderboard.md", "report.html"
TABLES = (
    "leaderboard",
    "attacks",
    "splits",
    "resources",
    "victims",
    "clean",
    "ranks",
    "comparisons",
)
