"""What a study comes to: victims and cells, each with its key. Plain data, no torch, ready to be sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from harness.contract import Recipe, Target
from harness.data.info import DataInfo
from harness.plan.budget import BudgetSpec
from harness.plan.gate import Gate
from harness.plan.keys import digest, seed
from harness.plan.report_names import FIGURES

TRAINING = 1
"""Version of the training loop: raised when the same spec would train another victim."""
EVALUATION = 1
"""Version of the evaluation: raised when the same model would get other numbers."""
IMPORTING = 1
"""Version of the import of foreign victims: raised when the same files would become another
victim."""
NO_DEFENSE = "none"
"""The defense that returns the victim as it is."""
NO_ATTACK = "none"
"""The attack whose victims are clean models."""


@dataclass(frozen=True)
class MethodSpec:
    """A method as a study asks for it: what finds it, and every hyperparameter."""

    name: str
    ref: str
    label: str
    """The name, and the overrides in brackets where a study lists the method several times."""
    display: str
    """The same with the method's display name: for readers, part of no key."""
    version: str
    hyper: dict[str, Any]
    """JSON values; a file is its absolute path."""
    identity: dict[str, Any] = field(repr=False)
    """What goes into a key: name, version, hyperparameters; a file is its digest."""


class VictimFiles(NamedTuple):
    """The files of a foreign victim: a model that was trained elsewhere."""

    kind: Literal["backdoorbench", "checkpoint"]
    path: str
    """A record's folder, or a file of weights; not part of a key."""
    digest: str
    """Of what the files hold."""


@dataclass(frozen=True)
class Victim:
    """A model to be attacked, by one training run; or one that was attacked elsewhere, and is imported."""

    data: DataInfo
    model: MethodSpec
    recipe: Recipe
    recipe_name: str
    attack: MethodSpec
    rate: float
    """A share of the training samples below 1, else their number; 0 for a clean model."""
    target: Target
    seed: int
    """Of a foreign victim: the seed of its cells, of which its own key knows nothing."""
    clean: Victim | None = None
    """The clean model that the attack needs, where it needs one."""
    source: VictimFiles | None = None
    """Where a foreign victim comes from; None for one that is trained here."""

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the trained model, as JSON values."""
        if self.source is not None:
            return self._foreign(self.source)
        needed = {} if self.clean is None else {"clean": self.clean.key}
        return {
            "training": TRAINING,
            "data": self.data.identity(),
            "model": self.model.identity,
            "recipe": asdict(self.recipe),
            "attack": self.attack.identity,
            "rate": self.rate,
            "target": self.target,
            "seed": self.seed,
            **needed,
        }

    def _foreign(self, source: VictimFiles) -> dict[str, Any]:
        return {
            "importing": IMPORTING,
            "source": {"kind": source.kind, "digest": source.digest},
            "data": self.data.identity(),
            "model": self.model.identity,
            "recipe": None,
            "attack": self.attack.identity,
            "rate": self.rate,
            "target": self.target,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    @property
    def byproduct(self) -> dict[str, Any]:
        """What the attack's prepared by-product depends on: everything but the poison rate.

        Model and recipe count only through a clean model, so that an encoder is shared between
        models.
        """
        spec = self.spec
        hyper = {name: x for name, x in self.attack.identity["hyper"].items() if name != "rate_of"}
        shared = {name: spec[name] for name in ("data", "target", "seed")}
        attack = {**self.attack.identity, "hyper": hyper}
        return {"byproduct": TRAINING, "attack": attack, **shared, "clean": spec.get("clean")}

    @property
    def share(self) -> float:
        """The poison rate as a share of all training samples."""
        total = sum(self.data.train_counts)
        if self.rate >= 1:
            return self.rate / total
        of_class = self.attack.hyper.get("rate_of") == "class" and isinstance(self.target, int)
        return (
            self.rate * self.data.train_counts[int(self.target)] / total if of_class else self.rate
        )

    @property
    def is_clean(self) -> bool:
        """Whether this is a clean model."""
        return self.attack.name == NO_ATTACK

    @property
    def keeps_trigger(self) -> bool:
        """Whether there is a trigger function, and not only triggered test images."""
        return self.source is None or self.source.kind != "backdoorbench"

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        rate = (
            ()
            if not self.rate
            else (f"rate {self.rate:g}" if self.rate < 1 else f"{self.rate:g} samples",)
        )
        return " / ".join(
            (self.data.name, self.model.label, self.attack.label, *rate, f"seed {self.seed}")
        )


@dataclass(frozen=True)
class Cell:
    """One defense on one victim at one clean-data budget."""

    victim: Victim
    defense: MethodSpec
    needs: str
    budget: BudgetSpec
    skip: str | None = None
    """Why the cell is not run; None when it is."""
    triggers: tuple[Victim, ...] = ()
    """Of a clean model: the victims whose triggers it is scored with."""
    keep: bool = False
    """Whether the repaired model's weights are kept."""

    @property
    def seed(self) -> int:
        """The study's seed: of the victim, of the clean samples and of the defense."""
        return self.victim.seed

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values."""
        scored = {"triggers": [victim.key for victim in self.triggers]} if self.triggers else {}
        return {**self._repair, **scored}

    @property
    def _repair(self) -> dict[str, Any]:
        return {
            "victim": self.victim.key,
            "defense": self.defense.identity,
            "budget": dict(vars(self.budget)),
            "evaluation": EVALUATION,
            "seed": self.seed,
        }

    @cached_property
    def repair_key(self) -> str:
        """The digest of what decides the repaired model: the key, but for a clean model's triggers."""
        return digest(self._repair)

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


@dataclass(frozen=True)
class Study:
    """A validated study: its cells in order of the file."""

    name: str
    path: str
    cells: list[Cell]
    gate: Gate
    timeout: float | None = None
    """Seconds that one victim or cell may take; None means no limit."""
    clean: dict[str, Victim] = field(default_factory=dict)
    """The clean model that a victim is held against, by the victim's key, where the study has
    one."""
    figures: tuple[str, ...] = FIGURES
    """Which figures its report has, in order."""

    @cached_property
    def defended(self) -> dict[str, Victim]:
        """The victim of every cell, skipped ones included, by key."""
        return {cell.victim.key: cell.victim for cell in self.cells}

    def victims(self) -> dict[str, Victim]:
        """Return the victims that any cell needs, by key, clean models before those that need them."""
        found: dict[str, Victim] = {}
        for cell in self.cells:
            if cell.skip is None:
                for victim in (cell.victim, *cell.triggers):
                    for each in (victim.clean, self.clean.get(victim.key), victim):
                        if each is not None:
                            found.setdefault(each.key, each)
        return found
