"""A defense script of BackdoorBench, run unchanged in its own repository and environment.

Threat model: none is enforced. The script gets the victim with its triggered test set and, if there
is one, its poisoned training set; boards list it separately, as external. Its clean training images
are the study's budget, passed by its setting ``index``. Seconds include the export and the script's
own evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run import run_script
from harness.contract import Context, Defended, defense


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The script, its environment, and settings that differ from its own."""

    script: str
    """The script's path in the repository, such as defense/nad.py."""
    root: str
    """The repository's folder, relative to the study."""
    python: str | None = None
    """The Python that runs it, a name or a path relative to the study; by default the one that runs
    Defuse."""
    config: str | None = None
    """Its settings, a YAML file relative to the study; by default the repository's file for the
    data set."""
    yaml: dict[str, Any] = field(default_factory=dict)
    """Settings that override those in the file."""
    args: dict[str, Any] = field(default_factory=dict)
    """Command-line options, which override settings: ``{lr: 0.1}`` is ``--lr 0.1``."""


@defense(
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    family="external",
    version=1,
    needs="external",
)
def backdoorbench(inputs: ScriptInputs, hyper: Hyper, ctx: Context) -> Defended:
    """Return the script's model and the end of its output."""
    return run_script(inputs, hyper, ctx)
