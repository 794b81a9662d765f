"""What a study comes to: victims and cells, each with its key. Plain data, no torch, ready to be sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from harness.contract import Share
from harness.data.budget import BudgetSpec
from harness.data.info import DataInfo
from harness.keys import digest, seed
from harness.recipe import Recipe
from harness.report.names import FIGURES

TRAINING = 1
"""Version of the training loop: raised when the same spec would train another victim."""
EVALUATION = 1
"""Version of the evaluation: raised when the same model would get other numbers."""


@dataclass(frozen=True)
class Choice:
    """A method as a study asks for it: what finds it, and every hyperparameter."""

    name: str
    ref: str
    label: str
    version: str
    hyper: dict[str, Any]
    """JSON values; a file is its absolute path."""
    identity: dict[str, Any] = field(repr=False)
    """What goes into a key: name, version, hyperparameters; a file is its digest."""


@dataclass(frozen=True)
class Victim:
    """A model to be attacked: one training run."""

    data: DataInfo
    model: Choice
    recipe: Recipe
    recipe_name: str
    attack: Choice
    rate: float
    target: int | Literal["all-to-all"]
    seed: int

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the trained model, as JSON values."""
        return {
            "training": TRAINING,
            "data": self.data.identity(),
            "model": self.model.identity,
            "recipe": asdict(self.recipe),
            "attack": self.attack.identity,
            "rate": self.rate,
            "target": self.target,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        parts = (self.data.name, self.model.label, self.attack.label, f"rate {self.rate:g}")
        return " / ".join((*parts, f"seed {self.seed}"))


@dataclass(frozen=True)
class Cell:
    """One defense on one victim at one clean-data budget."""

    victim: Victim
    defense: Choice
    needs: str
    budget: BudgetSpec
    skip: str | None = None
    """Why the cell is not run; None when it is."""

    @property
    def seed(self) -> int:
        """The study's seed: of the victim, of the clean samples and of the defense."""
        return self.victim.seed

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values."""
        return {
            "victim": self.victim.key,
            "defense": self.defense.identity,
            "budget": asdict(self.budget),
            "evaluation": EVALUATION,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    @property
    def budget_seed(self) -> int:
        """Of the clean samples: the same for every defense at one (data, seed), nested over budgets."""
        return seed("budget", self.victim.data.digest, self.seed)

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        return f"{self.victim.name} / {self.defense.label} / {self.budget.label()}"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a victim must reach for its cells to count in an average."""

    acc: Share = 0.0
    asr: Share = 0.8

    def passed(self, acc: float, asr: float) -> bool:
        """Tell whether a victim with this ACC and ASR (shares) counts."""
        return acc >= self.acc and asr >= self.asr


@dataclass(frozen=True)
class Study:
    """A validated study: its cells in order of the file."""

    name: str
    path: str
    cells: list[Cell]
    gate: Gate
    timeout: float | None = None
    """Seconds that one victim or cell may take; None means no limit."""
    figures: tuple[str, ...] = FIGURES
    """Which figures its report has, in order."""

    def victims(self) -> dict[str, Victim]:
        """Return the victims that any cell needs, by key, in order."""
        return {cell.victim.key: cell.victim for cell in self.cells if cell.skip is None}
