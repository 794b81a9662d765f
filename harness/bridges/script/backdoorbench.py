"""A defense script of BackdoorBench, run as it stands in its own repository and environment.

Threat model: none is enforced. The script is handed the victim with its triggered test set and,
where there is one, its poisoned training set, so boards keep it apart as external. Of clean
training images it is given the study's budget, by its setting ``index``. Seconds include the export
and its own tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run import run_script
from harness.contract import Context, Defended, defense


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Which script, where, and what it is told beyond its own settings."""

    script: str
    """Relative to the repository, like defense/nad.py."""
    root: str
    """The repository's folder, relative to the study."""
    python: str | None = None
    """The program that runs it, a name or a path relative to the study; by default the one that
    runs this."""
    config: str | None = None
    """Its settings, a YAML file relative to the study; by default the repository's for the data
    set."""
    yaml: dict[str, Any] = field(default_factory=dict)
    """Settings in place of those in the file."""
    args: dict[str, Any] = field(default_factory=dict)
    """Options of the command line, which go before settings: ``{lr: 0.1}`` is ``--lr 0.1``."""


@defense(
    paper="BackdoorBench: A Comprehensive Benchmark of Backdoor Learning, arXiv 2206.12654",
    year=2022,
    family="external",
    version=1,
    needs="external",
)
def backdoorbench(given: ScriptInputs, hyper: Hyper, ctx: Context) -> Defended:
    """Return the model that the script left, and the end of what it said."""
    return run_script(given, hyper, ctx)
