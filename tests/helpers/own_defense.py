"""Defenses in files of their own, beside a study."""

from __future__ import annotations

import textwrap
from pathlib import Path

SOURCE = '''
    """Own: a defense outside the repository."""
    from torch import nn
    from harness.contract import Budget, Context, defense

    @defense(paper="none", year=2026, family="control")
    def own(model: nn.Module, budget: Budget, hyper, ctx: Context) -> nn.Module:
        """Do it."""
        {}
'''


def write_own(folder: Path, name: str, body: str) -> str:
    """Write a defense with a body, and return its entry in a study of the same folder."""
    source = textwrap.dedent(SOURCE).lstrip().format(body)
    (folder / name).write_text(source, encoding="utf-8")
    return f"./{name}"
