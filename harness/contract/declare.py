"""The decorators ``@attack``, ``@defense`` and ``@model``, and what they keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from harness.contract.attack_types import AttackTraits
from harness.contract.types import Function, Kind, Layer, Needs

DECLARATION = "__defuse__"


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What a method says of itself. ``version`` is raised by hand when its results change."""

    kind: Kind
    paper: str
    year: int
    version: int | None = None
    display_name: str = ""
    """The name that reports show; empty: the name of the file."""
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


def _declare(declaration: MethodInfo) -> Callable[[Function], Function]:
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
    display_name: str = "",
    **traits: Unpack[AttackTraits],
) -> Callable[[Function], Function]:
    """Declare ``function(train, goal, hyper, ctx) -> Poison | Controlled`` as an attack.

    Args:
        trigger: ``trigger(images, state) -> images``, pure: float images (N, C, H, W) in [0, 1] and
            the tensors of the attack's state. It stamps test images, today and after the victim is
            reloaded.
        paper: title and arXiv id.
        year: of the paper.
        version: raised when results change; None takes the file's own digest (for files in
            development).
        display_name: the name that reports show; by default the name of the file.
        **traits: what else the attack says of itself.
    """
    return _declare(
        MethodInfo(
            kind="attack",
            trigger=trigger,
            paper=paper,
            year=year,
            version=version,
            display_name=display_name,
            **traits,
        )
    )


class DefenseRequirements(TypedDict, total=False):
    """What a defense asks for; a cell that cannot give it is skipped at planning, with the reason."""

    needs: Needs
    """"clean" by default, "triggers" for an oracle that is handed triggered copies of its budget,
    "external" for a bridge to another toolbox, which hands over the test set too."""
    least_spc: int
    """The fewest images per class that it can run on: 1 by default, 2 where it holds out validation
    data."""
    requires: Layer | None
    """The layers that it works on; none by default."""
    cohort: Callable[..., list[Any]]
    """``cohort(model, budgets, hyper, contexts)``: the same for several budgets at once, each with
    a context of its own, and with the results of solo runs. For GPUs, which a small budget leaves
    idle."""


def defense(
    *,
    paper: str,
    year: int,
    family: str,
    version: int | None = None,
    display_name: str = "",
    **limits: Unpack[DefenseRequirements],
) -> Callable[[Function], Function]:
    """Declare ``function(model, budget, hyper, ctx) -> nn.Module | Defended`` as a defense.

    Args:
        paper: title and arXiv id.
        year: of the paper.
        family: "pruning", "fine-tuning", "unlearning", "control".
        version: raised when results change; None takes the file's own digest (for files in
            development).
        display_name: the name that reports show; by default the name of the file.
        **limits: what it asks for, see ``DefenseRequirements``.
    """
    return _declare(
        MethodInfo(
            kind="defense",
            paper=paper,
            year=year,
            family=family,
            version=version,
            display_name=display_name,
            **limits,
        )
    )


def model(
    *,
    paper: str,
    year: int,
    version: int | None = None,
    display_name: str = "",
    layers: tuple[Layer, ...] = ("convolutions", "batchnorm"),
) -> Callable[[Function], Function]:
    """Declare ``function(channels, classes, hyper) -> nn.Module`` as an architecture.

    The network takes normalised images (N, channels, H, W); the harness puts the normalisation in
    front. ``layers`` says what its hidden layers are made of (the patch embedding of a transformer
    does not make it convolutional).
    """
    return _declare(
        MethodInfo(
            kind="model",
            paper=paper,
            year=year,
            version=version,
            display_name=display_name,
            layers=layers,
        )
    )


@dataclass(frozen=True, kw_only=True)
class NoHyper:
    """The hyperparameters of a method that has none."""
