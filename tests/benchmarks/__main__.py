"""The table: ``python -m tests.benchmarks [NAME...]``, each task against a plain reference.

A reference is written in the straightforward style of today's toolboxes. Seconds are medians of
runs in turns in one process, on a CPU with one thread, as a worker has. Ratios carry over to other
machines. On a GPU networks are wide and an epoch is whole; the first of the runs records graphs.
"""

from __future__ import annotations

import importlib
import platform
import sys
import traceback
from collections.abc import Sequence

import torch

from harness.execution.slots import cores
from harness.training.device import environment, set_up_torch
from tests.benchmarks import machine_peak
from tests.benchmarks.side_by_side import Row

TASKS = ("training", "triggers", "evaluation", "frozen_ims", "frozen_anp", "startup")
COLUMNS = ("task", "reference s", "ours s", "ratio", "bar", "share of peak", "apart")


def machine() -> str:
    """Return what the figures were measured on, peaks included."""
    here = environment(machine_peak.device())
    bf16 = torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()
    lines = [
        f"{here.hardware}; {cores()} cores, {here.threads} threads; "
        f"AVX512-BF16 {'yes' if bf16[0] else 'no'}, AMX {'yes' if bf16[1] else 'no'}",
        f"torch {here.torch}, Python {here.python}, {platform.system()}",
    ]
    for name, measured in (
        ("convolutions", machine_peak.convolutions),
        ("matrices", machine_peak.matrices),
    ):
        rates = (
            f"{measured(t) / 1e9:,.0f} in {str(t)[6:]}" for t in (torch.float32, torch.bfloat16)
        )
        lines.append(f"peak of {name}, 10^9 operations a second: {', '.join(rates)}")
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    """Return rows as a markdown table."""
    cells = [COLUMNS, ("--",) * len(COLUMNS), *map(_cells, rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _cells(row: Row) -> tuple[str, ...]:
    reference = "" if row.reference is None else f"{row.reference:.3g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    share = "" if row.share is None else f"{row.share:.0%}"
    return row.task, reference, f"{row.ours:.3g}", ratio, row.bar, share, row.agreement


def rows_of(name: str, *, tiny: bool = False) -> list[Row]:
    """Measure one of ``TASKS``; tiny: in seconds, to see that it works."""
    rows: list[Row] = importlib.import_module(f"tests.benchmarks.{name}").rows(tiny=tiny)
    return rows


def main(names: Sequence[str]) -> int:
    """Measure and print; return how many tasks failed, of which the others lose nothing."""
    set_up_torch(cores() if torch.cuda.is_available() else 1)
    sys.stdout.write(machine() + "\n\n")
    rows, failed = [], 0
    for name in names or TASKS:
        try:
            rows += rows_of(name)
            sys.stderr.write(f"{name} done\n")
        except Exception:  # such as results that are too far apart
            failed += 1
            sys.stderr.write(f"{name} failed\n{traceback.format_exc()}")
    sys.stdout.write(table(rows) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
