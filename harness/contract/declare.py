"""The decorators ``@attack``, ``@defense``, ``@model``, ``@probe``: a file declares its method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.contract.quantity import Quantity
from harness.contract.types import Function, Kind, Layer, Needs

DECLARATION = "__defuse__"
"""The attribute of a decorated function that holds its declaration."""


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What every method declares. An instance is a decorator: it marks the method's function."""

    kind: ClassVar[Kind]

    paper: str
    """Title and arXiv id, or title and venue."""
    year: int
    """The paper's year."""
    version: int | None = None
    """Raised by hand when the method's results change; None takes the digest of the file, for a
    method in development."""
    display_name: str = ""
    """The name that reports show; by default the name of the file."""

    def __call__(self, function: Function) -> Function:
        """Return ``function``, marked as the method that this declares."""
        setattr(function, DECLARATION, self)
        return function


@dataclass(frozen=True, kw_only=True)
class AttackInfo(MethodInfo):
    """``@attack(...)`` declares ``function(train, goal, hyper, ctx) -> Poison | TrainingControl``.

    ``train`` is a TrainingSet, ``goal`` a Goal, ``hyper`` the file's Hyper and ``ctx`` a Context.
    """

    kind: ClassVar[Kind] = "attack"

    trigger: Callable[..., Any] = field(repr=False)
    """``trigger(images, state) -> images``, a pure function: float images (N, C, H, W) in [0, 1],
    and the tensors of the attack's state. It puts the trigger on test images, when the victim is
    trained and whenever it is loaded again."""
    prepare: Callable[..., Any] | None = field(default=None, repr=False)
    """``prepare(train, goal, hyper, ctx)`` returns tensors by name that are computed once and
    shared by the victims of every poison rate (an optimised pattern, a trained encoder). They come
    back as ``TrainingSet.prepared``."""
    fault: Callable[..., str | None] | None = field(default=None, repr=False)
    """``fault(hyper, shape)`` returns why the trigger can't be put on images of ``shape`` (C, H,
    W), else None. It is called at planning and imports nothing heavy."""
    clean_model: bool = False
    """Whether it needs a model trained without poison by the victim's recipe:
    ``TrainingSet.clean_model``."""
    clean_label: bool = False
    """Whether it poisons images of the target class alone, with their labels untouched. Its Hyper
    then has the field ``rate_of``."""
    all_to_all: bool = False
    """Whether it can send every class to the next one; otherwise only all classes to one."""


@dataclass(frozen=True, kw_only=True)
class DefenseInfo(MethodInfo):
    """``@defense(...)`` declares ``function(model, budget, hyper, ctx) -> nn.Module | Defended``.

    ``model`` is a private copy of the victim, ``budget`` a Budget, ``hyper`` the file's Hyper and
    ``ctx`` a Context. A cell that cannot meet the requirements below is skipped at planning, with
    the reason.
    """

    kind: ClassVar[Kind] = "defense"

    family: str
    """"pruning", "fine-tuning", "unlearning" or "control"."""
    needs: Needs = "clean"
    """"clean": clean samples alone; "triggers": an oracle, whose budget also has triggered copies;
    "external": a script of another toolbox, which also gets the test set."""
    least_spc: int = 1
    """The fewest images per class that it runs on; 2 if it holds out validation data."""
    requires: Layer | None = None
    """The layers that it works on, which the architecture must have; None for any."""
    varied: tuple[str, ...] = ()
    """At most three hyperparameters, numbers, that a study with ``stability: true`` also runs at a
    third and at three times their values: those that the paper chooses or studies first."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo(MethodInfo):
    """``@model(...)`` declares ``function(channels, classes, hyper) -> nn.Module``.

    The network takes normalised images (N, channels, H, W) and returns logits (N, classes); the
    harness puts the normalisation in front.
    """

    kind: ClassVar[Kind] = "model"

    layers: tuple[Layer, ...] = ("convolutions", "batchnorm")
    """What its hidden layers are made of; the patch embedding of a transformer does not count as a
    convolution."""
    least_size: int = 1
    """The smallest height and width of images that it takes; smaller ones are refused at planning,
    and so are those on which a network of the user's own fails."""


Numbers = dict[str, float]
"""What a probe measured, by name."""


@dataclass(frozen=True, kw_only=True)
class ProbeInfo(MethodInfo):
    """``@probe(...)`` declares ``function(model, attacker, hyper, ctx) -> dict[str, float]``.

    ``model`` is a private copy of the model to test, in eval mode, ``attacker`` an Attacker,
    ``hyper`` the file's Hyper and ``ctx`` a Context, whose seed is the same for every model of one
    victim. A probe runs on every defended model, on the victim itself (the defense ``none``) and,
    as its control, on the clean model of the same data, architecture, recipe and seed. It returns
    numbers that it declares; one that is not defined for a model is left out.
    """

    kind: ClassVar[Kind] = "probe"

    numbers: dict[str, Quantity]
    """What it measures, by name; boards show the first one, the probe's table all of them."""
    against_clean: Callable[[Numbers, Numbers], Numbers] | None = field(default=None, repr=False)
    """``against_clean(own, clean)`` returns further numbers, which compare a model's with those of
    the clean model under the same probe. It is called by reports and imports nothing heavy."""
    trigger: bool = True
    """Whether it needs the trigger function; otherwise triggered test images are enough."""
    clean_model: bool = False
    """Whether it needs the clean model: ``Attacker.train.clean_model``."""
    defended: bool = True
    """Whether it needs the defended model; if not, it is given a copy of the victim, and what the
    defense kept (``Attacker.kept``), and no defense is run again for it."""
    requires: Layer | None = None
    """The layers that it works on, which the architecture must have; None for any."""


attack, defense, model, probe = AttackInfo, DefenseInfo, ModelInfo, ProbeInfo


@dataclass(frozen=True, kw_only=True)
class NoHyper:
    """The hyperparameters of a method that has none."""
