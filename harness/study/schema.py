"""The keys of a study file and their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, BeforeValidator

from harness.contract import Numerics, Positive
from harness.plan.gate import Gate
from harness.plan.names import fault_of_label
from harness.plan.paper import Paper
from harness.plan.rank import Rank
from harness.plan.report_names import figure_names, table_names
from harness.plan.spec import Cell


def fault_of_name(name: str) -> str | None:
    """Return why a study can't have a name, which is also that of its report's folder."""
    if fault := fault_of_label(name):
        return fault
    return f"{name!r} is a folder of every store" if name in RESERVED else None


RESERVED = {"store"}


def _valid_name(name: str) -> str:
    if fault := fault_of_name(name):
        raise ValueError(fault)
    return name


AtLeastOne = Annotated[list[Any], MinLen(1)]


NOT_A_RATE = "a share below 1, or a whole number of samples, is needed"


def _share_or_count(value: float) -> float:
    if 0 < value < 1:
        return value
    if 1 <= value < 2**63 and value == int(value):
        return int(value)
    raise ValueError(NOT_A_RATE)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(NOT_A_RATE)
    return value


Rate = Annotated[float, BeforeValidator(_no_bool), AfterValidator(_share_or_count)]
"""A share of the training samples below 1, or their number."""
Rates = Annotated[list[Rate], MinLen(1)]
Seed = Annotated[int, Ge(0)]
"""At most 64 bits, as every integer."""


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Cells to leave out: all that match every field given here."""

    reason: Annotated[str, MinLen(1)]
    data: str | None = None
    model: str | None = None
    attack: str | None = None
    rate: float | None = None
    defense: str | None = None
    spc: int | None = None
    ratio: float | None = None
    seed: int | None = None
    draw: int | None = None

    def matches(self, cell: Cell) -> bool:
        """Tell whether a cell is one of those to leave out."""
        victim, budget = cell.victim, cell.budget
        requested_and_own = (
            (self.data, {victim.data.name}),
            (self.model, {victim.model.name, victim.model.label}),
            (self.attack, {victim.attack.name, victim.attack.label}),
            (self.rate, {victim.rate}),
            (self.defense, {cell.defense.name, cell.defense.label}),
            (self.spc, {budget.spc}),
            (self.ratio, {budget.ratio}),
            (self.seed, {cell.seed}),
            (self.draw, {cell.draw}),
        )
        return all(value in own for value, own in requested_and_own if value is not None)


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """The keys of a study file. Lists multiply; an entry is a name, or a name with overrides."""

    data: AtLeastOne = field(default_factory=list)
    """Data sets; your own as ``{name: {path: folder}}`` or ``{name: {hub: user/name}}``."""
    models: AtLeastOne = field(default_factory=list)
    """Architectures that victims are trained with."""
    attacks: AtLeastOne = field(default_factory=list)
    """Attacks; ``none`` trains clean models."""
    defenses: AtLeastOne
    """Defenses; ``none`` is the victim without a defense."""
    budgets: AtLeastOne
    """Clean budgets: ``{spc: 10}`` images per class, or ``{ratio: 0.05}`` of each class. Unclean
    ones are ``{spc: 10, shift: blur}`` (or brightness, contrast, colour, rotation, noise), ``{spc:
    10, triggered: 1}`` and ``{spc: 10, wrong_labels: 0.1}``."""
    seeds: Annotated[list[Seed], MinLen(1)]
    """One victim is trained per seed; the same seed draws the clean samples."""
    draws: Annotated[list[Seed], MinLen(1)] = field(default_factory=lambda: [0])
    """Numbers of clean budgets of each size: every defense runs once per draw on the same victim,
    each time with other clean samples."""
    victims: AtLeastOne = field(default_factory=list)
    """Models that were trained elsewhere; a study of these alone needs no data, models and
    attacks."""
    name: Annotated[str, AfterValidator(_valid_name)] | None = None
    """The study's name on boards and of its report's folder; by default the file's name."""
    recipe: Any = "paper"
    """How victims are trained: ``paper``, ``fast``, or ``{paper: {epochs: 50}}``."""
    numerics: Numerics | None = None
    """The arithmetic of training, defenses and evaluation: ``fp32``, ``tf32`` or ``bf16``. By
    default fp32, and for training what the recipe's ``precision`` says."""
    rates: Rates = field(default_factory=lambda: [0.1])
    """Poison rates: a share of the training samples below 1, or a number of samples; an attack with
    ``rates`` of its own uses those."""
    target: Any = 0
    """The target class, by its number or its name; or ``all-to-all``, by which every class becomes
    the next one, and ``all-to-all+2`` the one after it."""
    gate: Gate = field(default_factory=Gate)
    """What a victim must reach for its cells to be run and to count in a mean; ``{run: all}`` runs
    the others too."""
    rank: Rank = field(default_factory=Rank)
    """What boards are sorted by: ``{by: rir}``, or der, acc, asr, ra, solved, worst_asr."""
    probes: list[Any] = field(default_factory=list)
    """Probes of every repaired model: what is left of the backdoor. The study then trains clean
    models, which are their controls."""
    stability: bool = False
    """Whether every defense also runs with each hyperparameter that it declares as ``varied`` at a
    third and at three times its value: up to six more cells for each."""
    timeout: Positive | None = None
    """The most seconds that one victim or one cell may take; by default 24 hours."""
    keep_models: bool = False
    """Whether the weights of every repaired model are kept, to be exported."""
    skip: list[Skip] = field(default_factory=list)
    """Cells to leave out, each with a reason: all cells that match every key that is given."""
    figures: list[str] = field(default_factory=lambda: list(figure_names()))
    """Which figures a report has, in this order: names, or files of your own as
    ``./mine.py``."""
    tables: list[str] = field(default_factory=lambda: list(table_names()))
    """Which tables a report has after the leaderboard, in this order: names, or files of your own
    as ``./mine.py``."""
    paper: Paper = field(default_factory=Paper)
    """The paper that tables and figures are for: ``{format: ieee, ours: ims}``."""

    def missing_keys(self) -> list[str]:
        """Return the keys that are missing; a study of imported victims alone needs none."""
        needed = ("data", "models", "attacks") if self.attacks or not self.victims else ()
        return [key for key in needed if not getattr(self, key)]
