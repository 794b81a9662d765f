"""What a method is: the decorators, the types of a ``Hyper``, and the bundles that a method is handed.

A method is one file: a docstring (paper, arXiv id, threat model, deviations), one frozen keyword-only
dataclass ``Hyper`` with the paper's defaults and ranges, and one decorated function. The file name is
the method's name. At module level a method file only declares; work happens inside functions.

A function receives only what its threat model allows. No bundle leads to the test set, and a defense
that does not declare ``needs="triggers"`` holds nothing that leads to the trigger or its target. (Python
has no sandbox: a file that opens the data set by itself is outside what a contract can prevent.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, TypeVar, Unpack

from annotated_types import Ge, Gt, Interval

from harness.bundles import AttackTraits, Batch, Controlled, Goal, Poison, TrainingSet

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.augment import Augment

__all__ = ["Batch", "Controlled", "Goal", "Poison", "TrainingSet"]

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
NonNegativeCount = Annotated[int, Ge(0)]
Levels = Annotated[int, Interval(ge=2, le=256)]

Kind = Literal["attack", "defense", "model"]
Needs = Literal["clean", "triggers", "external"]
Layer = Literal["convolutions", "batchnorm", "encoder-blocks"]
Function = TypeVar("Function", bound=Callable[..., Any])

DECLARATION = "__defuse__"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a method says of itself. ``version`` is raised by hand when its results change."""

    kind: Kind
    paper: str
    year: int
    version: int | None = None
    family: str = ""
    needs: Needs = "clean"
    least_spc: int = 1
    requires: Layer | None = None
    layers: tuple[Layer, ...] = ()
    trigger: Callable[..., Any] | None = field(default=None, repr=False)
    prepare: Callable[..., Any] | None = field(default=None, repr=False)
    cohort: Callable[..., Any] | None = field(default=None, repr=False)
    clean_model: bool = False
    clean_label: bool = False
    all_to_all: bool = False


def _declare(declaration: Declaration) -> Callable[[Function], Function]:
    def mark(function: Function) -> Function:
        setattr(function, DECLARATION, declaration)
        return function

    return mark


def attack(
    *,
    trigger: Callable[..., Any],
    paper: str,
    year: int,
    version: int | None = None,
    **traits: Unpack[AttackTraits],
) -> Callable[[Function], Function]:
    """Declare ``function(train, goal, hyper, ctx) -> Poison | Controlled`` as an attack.

    Args:
        trigger: ``trigger(images, state) -> images``, pure: float images (N, C, H, W) in [0, 1] and the
            tensors of the attack's state. It stamps test images, today and after the victim is reloaded.
        paper: title and arXiv id.
        year: of the paper.
        version: raised when results change; None takes the file's own digest (for files in development).
        **traits: what else the attack says of itself.
    """
    return _declare(
        Declaration(kind="attack", trigger=trigger, paper=paper, year=year, version=version, **traits)
    )


class Limits(TypedDict, total=False):
    """What a defense asks for; a cell that cannot give it is skipped at planning, with the reason."""

    needs: Needs
    """"clean" by default, "triggers" for an oracle that is handed triggered copies of its budget, "external"
    for a bridge to another toolbox, which hands over the test set too."""
    least_spc: int
    """The fewest images per class that it can run on: 1 by default, 2 where it holds out validation data."""
    requires: Layer | None
    """The layers that it works on; none by default."""
    cohort: Callable[..., list[Any]]
    """``cohort(model, budgets, hyper, contexts)``: the same for several budgets at once, each with a context
    of its own, and with the results of solo runs. For GPUs, which a small budget leaves idle."""


def defense(
    *,
    paper: str,
    year: int,
    family: str,
    version: int | None = None,
    **limits: Unpack[Limits],
) -> Callable[[Function], Function]:
    """Declare ``function(model, budget, hyper, ctx) -> nn.Module | Repaired`` as a defense.

    Args:
        paper: title and arXiv id.
        year: of the paper.
        family: "pruning", "fine-tuning", "unlearning", "control".
        version: raised when results change; None takes the file's own digest (for files in development).
        limits: what it asks for, see ``Limits``.
    """
    return _declare(
        Declaration(
            kind="defense",
            paper=paper,
            year=year,
            family=family,
            version=version,
            **limits,
        )
    )


def model(
    *,
    paper: str,
    year: int,
    version: int | None = None,
    layers: tuple[Layer, ...] = ("convolutions", "batchnorm"),
) -> Callable[[Function], Function]:
    """Declare ``function(channels, classes, hyper) -> nn.Module`` as an architecture.

    The network takes normalised images (N, channels, H, W); the harness puts the normalisation in front.
    ``layers`` says what its hidden layers are made of (the patch embedding of a transformer does not make it
    convolutional).
    """
    return _declare(Declaration(kind="model", paper=paper, year=year, version=version, layers=layers))


class OutOfTimeError(Exception):
    """The cell's deadline has passed."""


@dataclass(frozen=True)
class Context:
    """Where and how a method runs."""

    device: torch.device
    generator: torch.Generator
    """On the CPU, seeded for this victim or cell alone: the same draws on every device."""
    deadline: float | None = None
    """On the clock of ``time.monotonic``; None means no limit."""
    scalars: list[dict[str, float]] = field(default_factory=list)

    def log(self, step: int, **scalars: float) -> None:
        """Keep named numbers of a step in the record; raise OutOfTimeError past the deadline."""
        self.scalars.append({"step": float(step), **{name: float(x) for name, x in scalars.items()}})
        self.check()

    def check(self) -> None:
        """Raise OutOfTimeError when the deadline has passed."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTimeError("the cell's deadline has passed")


@dataclass(frozen=True)
class Budget:
    """The clean samples that a defender has, validation data included."""

    images: torch.Tensor
    """float (n, C, H, W) in [0, 1], on the device."""
    labels: torch.Tensor
    """int64 (n,): true labels."""
    classes: int
    augment: Augment
    """The data set's training augmentation: ``augment(images, generator)``."""
    triggered: torch.Tensor | None = None
    """The same images with the real trigger; only for a defense that declares ``needs="triggers"``."""
    groups: torch.Tensor | None = None
    """int64 (n,), the same for near copies of each other (frames of one GTSRB track); None if unknown."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def subset(self, indices: torch.Tensor) -> Budget:
        """Return the samples at ``indices``, int64 (k,)."""
        triggered, groups = (None if x is None else x[indices] for x in (self.triggered, self.groups))
        return Budget(
            self.images[indices], self.labels[indices], self.classes, self.augment, triggered, groups
        )


@dataclass(frozen=True)
class Repaired:
    """A defense's result, where a model alone does not say it all."""

    model: nn.Module
    artifacts: dict[str, torch.Tensor] = field(default_factory=dict)
    """Small tensors to keep: masks, scores."""
    companions: dict[str, nn.Module] = field(default_factory=dict)
    """Other networks whose ACC, ASR and RA belong in the record (the inverse network of IMS). Their weights
    are not saved: what they can be rebuilt from belongs among the artifacts."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the record says besides, of a method that is not all here (the commit of an external script)."""
