"""Victims and cells with their keys: plain data, picklable, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from harness.contract.attack_types import Target
from harness.contract.declare import AttackInfo, DefenseInfo, MethodInfo, ModelInfo
from harness.contract.recipe import Recipe
from harness.contract.types import Kind, Needs, Numerics
from harness.data.info import DataInfo
from harness.plan.budget import BudgetSpec
from harness.plan.keys import digest, seed
from harness.plan.names import NO_ATTACK
from harness.plan.registry import describe, load
from harness.plan.validation import validate

TRAINING = 1
"""Version of the training loop: raised when the same spec would train another victim."""
EVALUATION = 1
"""Version of the evaluation: raised when the same model would get other numbers."""
IMPORTING = 1
"""Version of the import of victims: raised when the same files would become another victim."""

Info = TypeVar("Info", bound=MethodInfo)


class LoadedMethod(NamedTuple, Generic[Info]):
    """A method that is ready to run."""

    function: Callable[..., Any]
    hyper: Any
    """An instance of the method's ``Hyper``."""
    info: Info


@dataclass(frozen=True)
class MethodSpec(Generic[Info]):
    """A method as a study asks for it: where to find it, and every hyperparameter."""

    kind: Kind
    name: str
    ref: str
    """What ``registry.describe`` finds it by: a name, or the absolute path of a file."""
    label: str
    """The name, with the preset in brackets, and with the overrides where a study lists the method
    several times."""
    display: str
    """The same with the method's display name, for readers; part of no key."""
    version: str
    hyper: dict[str, Any]
    """JSON values; a file is its absolute path."""
    identity: dict[str, Any] = field(repr=False)
    """What goes into a key: name, version, hyperparameters; a file is its digest."""

    @cached_property
    def digest(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    def __hash__(self) -> int:
        """Return the same number for equal specs."""
        return hash(self.digest)

    @property
    def info(self) -> Info:
        """What the method declares; importing nothing heavy."""
        info: Info = _info(self.kind, self.ref)
        return info

    def load(self) -> LoadedMethod[Info]:
        """Import the method and build its hyperparameters.

        Raises:
            UserError: its file is gone, or declares no method of this kind.
        """
        method = load(self.kind, self.ref)
        return LoadedMethod(method.function, validate(method.hyper, self.hyper), method.info)


@cache
def _info(kind: Kind, ref: str) -> Any:
    """Return what a method declares, looked for once: a study asks for it cell by cell."""
    return describe(kind, ref).info


class VictimSource:
    """How a victim comes about."""

    imported: ClassVar[bool]
    """Whether the model was trained elsewhere."""
    keeps_trigger: ClassVar[bool]
    """Whether there is a trigger function, and not only triggered test images."""

    def spec(self, victim: Victim) -> dict[str, Any]:
        """Return everything that decides the victim's model, as JSON values."""
        raise NotImplementedError


@dataclass(frozen=True)
class TrainedHere(VictimSource):
    """The victim is trained by its recipe."""

    imported: ClassVar = False
    keeps_trigger: ClassVar = True

    def spec(self, victim: Victim) -> dict[str, Any]:
        """Return data, model, recipe, attack, seed, and the clean model if the attack needs one."""
        clean = {} if victim.clean is None else {"clean": victim.clean.key}
        return {
            "training": TRAINING,
            "data": victim.data.identity(),
            "model": victim.model.identity,
            "recipe": asdict(victim.recipe),
            "attack": victim.attack.identity,
            "rate": victim.rate,
            "target": victim.target,
            "seed": victim.seed,
            **clean,
        }


@dataclass(frozen=True)
class ImportedFiles(VictimSource):
    """The victim was trained elsewhere. Its seed is that of its cells, and no part of its key."""

    path: str
    """The files; no part of a key."""
    digest: str
    """The digest of their contents."""
    kind: ClassVar[str]
    imported: ClassVar = True

    def spec(self, victim: Victim) -> dict[str, Any]:
        """Return the files' digest, and what they are evaluated with; the recipe is unknown."""
        return {
            "importing": IMPORTING,
            "source": {"kind": self.kind, "digest": self.digest},
            "data": victim.data.identity(),
            "model": victim.model.identity,
            "recipe": None,
            "attack": victim.attack.identity,
            "rate": victim.rate,
            "target": victim.target,
        }


class RecordFiles(ImportedFiles):
    """The folder of a BackdoorBench record: weights and triggered test images."""

    kind: ClassVar = "backdoorbench"
    keeps_trigger: ClassVar = False


class CheckpointFile(ImportedFiles):
    """A file of weights, whose trigger function the study states."""

    kind: ClassVar = "checkpoint"
    keeps_trigger: ClassVar = True


@dataclass(frozen=True)
class Victim:
    """An attacked model, or a clean one: trained here, or imported."""

    data: DataInfo
    model: MethodSpec[ModelInfo]
    recipe: Recipe
    recipe_name: str
    attack: MethodSpec[AttackInfo]
    rate: float
    """A share of the training samples below 1, else their number; 0 for a clean model, and for an
    imported one whose rate is unknown."""
    target: Target
    seed: int
    clean: Victim | None = None
    """The clean model that the attack needs, if it needs one."""
    source: VictimSource = field(default_factory=TrainedHere)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the model, as JSON values."""
        return self.source.spec(self)

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    def __hash__(self) -> int:
        """Return the same number for equal victims."""
        return hash(self.key)

    @property
    def prepared_spec(self) -> dict[str, Any]:
        """Everything that decides the attack's prepared state: all but the poison rate.

        Model and recipe count only through a clean model, so that models share an encoder.
        """
        spec = self.spec
        hyper = {name: x for name, x in self.attack.identity["hyper"].items() if name != "rate_of"}
        shared = {name: spec[name] for name in ("data", "target", "seed")}
        attack = {**self.attack.identity, "hyper": hyper}
        return {"byproduct": TRAINING, "attack": attack, **shared, "clean": spec.get("clean")}

    @property
    def poison_rate(self) -> float:
        """The poisoned share of all training samples; NaN where the files don't tell."""
        if self.is_clean:
            return 0.0
        if self.source.imported and not self.rate:
            return math.nan
        total = sum(self.data.train_counts)
        if self.rate >= 1:
            return self.rate / total
        if self.attack.hyper.get("rate_of") == "class" and isinstance(self.target, int):
            return self.rate * self.data.train_counts[self.target] / total
        return self.rate

    @property
    def is_clean(self) -> bool:
        """Whether this is a clean model."""
        return self.attack.name == NO_ATTACK

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        parts = [self.data.name, self.model.label, self.attack.label]
        if self.rate:
            parts.append(f"rate {self.rate:g}" if self.rate < 1 else f"{self.rate:g} samples")
        return " / ".join([*parts, f"seed {self.seed}"])


@dataclass(frozen=True)
class Cell:
    """One defense on one victim with one clean budget."""

    victim: Victim
    defense: MethodSpec[DefenseInfo]
    needs: Needs
    budget: BudgetSpec
    skip: str | None = None
    """Why the cell is not run; None if it is."""
    triggers: tuple[Victim, ...] = ()
    """For a clean model: the victims whose triggers it is evaluated with."""
    keep: bool = False
    """Whether the defended model's weights are kept."""
    numerics: Numerics = "fp32"
    """The arithmetic of the defense, and of the evaluation of its model."""
    draw: int = 0
    """Which of the clean budgets of this size the defense gets."""

    @property
    def victims(self) -> tuple[Victim, ...]:
        """Its victim, and those whose triggers are used."""
        return (self.victim, *self.triggers)

    @property
    def runs_own_file(self) -> bool:
        """Whether the defense is a file of the user's own, which gets a process of its own."""
        return self.defense.ref.endswith(".py") and self.needs != "external"

    @property
    def seed(self) -> int:
        """The study's seed: of the victim, the clean samples and the defense."""
        return self.victim.seed

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the cell's numbers, as JSON values."""
        triggers = {"triggers": [victim.key for victim in self.triggers]} if self.triggers else {}
        numerics = {} if self.numerics == "fp32" else {"numerics": self.numerics}
        return {**self._defense_spec, **triggers, **numerics}

    @property
    def _defense_spec(self) -> dict[str, Any]:
        draw = {"draw": self.draw} if self.draw else {}
        return {
            "victim": self.victim.key,
            "defense": self.defense.identity,
            "budget": self.budget.spec(),
            "evaluation": EVALUATION,
            "seed": self.seed,
            **draw,
        }

    @cached_property
    def defense_key(self) -> str:
        """The digest that a defense's draws depend on: of the spec without triggers, numerics."""
        return digest(self._defense_spec)

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    @property
    def budget_seed(self) -> int:
        """The seed of the clean samples.

        It is the same for every defense on one data set, seed and draw, and smaller budgets are
        subsets of larger ones.
        """
        draw = (self.draw,) if self.draw else ()
        return seed("budget", self.victim.data.digest, self.seed, *draw)

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        draw = f", draw {self.draw}" if self.draw else ""
        return f"{self.victim.name} / {self.defense.label} / {self.budget.label()}{draw}"
