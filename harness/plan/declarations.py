"""Checks what a method file declares: what would fail only after its victims were trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from harness.contract.declare import AttackInfo, DefenseInfo, MethodInfo, ProbeInfo
from harness.contract.types import Kind
from harness.errors import UserError, faults_of, nearest
from harness.plan.keys import canonical
from harness.plan.names import MOST_LETTERS
from harness.plan.own_files import parameter_fault
from harness.plan.registry import Method, describe, is_function, is_own, names
from harness.plan.stability import MOST_VARIED, is_variable
from harness.plan.validation import validate

PARAMETERS = {
    "attack": ("train", "goal", "hyper", "ctx"),
    "defense": ("model", "budget", "hyper", "ctx"),
    "model": ("channels", "classes", "hyper"),
    "probe": ("model", "attacker", "hyper", "ctx"),
    "trigger": ("images", "state"),
    "prepare": ("train", "goal", "hyper", "ctx"),
    "fault": ("hyper", "shape"),
    "against_clean": ("own", "clean"),
}
"""What the harness calls each function of a method with, by position."""


def check_declaration(method: Method, path: Path) -> None:
    """Check a method's declaration, the parameters of its functions and its ``Hyper``.

    Raises:
        UserError: one line with all that is wrong.
    """
    if is_function(method.ref):
        return
    faults = [*declaration_faults(method.info, method.function), *hyper_faults(method.hyper)]
    if getattr(method.info, "needs", None) == "external" and is_own(path):
        faults.append("needs: 'external' is for scripts of other toolboxes; 'clean' or 'triggers'")
    if isinstance(method.info, DefenseInfo) and not faults:
        faults += varied_faults(method.info, method.hyper)
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}")


def require_own_name(kind: Kind, path: Path, display: str) -> None:
    """Refuse an own file that is called like a built-in method: its records would pass for its.

    Raises:
        UserError: its name, or its display name, is that of a built-in method of its kind.
    """
    for name in names(kind):
        taken = {name.casefold(), describe(kind, name).display_name.casefold()}
        for what, own in (("file", path.stem), ("display_name", display)):
            if own.casefold() in taken:
                raise UserError(
                    f"{path}: {own!r} is the built-in {kind} {name}; "
                    f"give a {what} of your own another name"
                )


def declaration_faults(info: MethodInfo, function: Callable[..., Any]) -> Iterator[str]:
    """Yield what is wrong with a declaration and with the parameters of its functions."""
    declared = {field.name: getattr(info, field.name) for field in fields(info)}
    try:
        validate(type(info), declared)
    except UserError as error:
        for location, message in faults_of(error):
            yield f"{'.'.join(map(str, location))}: {message}"
    if len(info.display_name) > MOST_LETTERS or not info.display_name.isprintable():
        yield f"display_name: a line of at most {MOST_LETTERS} letters is needed"
    functions: dict[str, Any] = {info.kind: function}
    if isinstance(info, AttackInfo):
        functions |= {"trigger": info.trigger, "prepare": info.prepare, "fault": info.fault}
    if isinstance(info, DefenseInfo) and info.needs == "external":  # it also gets the test set
        del functions["defense"]
    if isinstance(info, ProbeInfo):
        functions |= {"against_clean": info.against_clean}
        if not info.numbers:
            yield "numbers: a probe measures at least one"
    for role, each in functions.items():
        if fault := parameter_fault(each, PARAMETERS[role]):
            yield fault


def hyper_faults(hyper: Any) -> Iterator[str]:
    """Yield what is wrong with a method's ``Hyper``: its form, and defaults out of their ranges."""
    if not isinstance(hyper, type) or not is_dataclass(hyper):
        yield "Hyper: a dataclass is needed"
        return
    defaults = {}
    for field in fields(hyper):
        if field.default_factory is not MISSING:
            defaults[field.name] = field.default_factory()
        elif field.default is not MISSING:
            defaults[field.name] = field.default
    unusable = [name for name, value in defaults.items() if not _is_plain(value)]
    for name in unusable:
        yield (
            f"Hyper.{name}: a hyperparameter is a number, a text, a truth value, a Path, or a list "
            f"or mapping of them, not {type(defaults[name]).__name__}"
        )
    if unusable:
        return
    try:
        validate(hyper, defaults)
    except UserError as error:
        for location, message in faults_of(error):
            if not location or location[0] in defaults:
                where = f"the default of Hyper.{'.'.join(map(str, location))}: "
                yield f"{where if location else ''}{message}"


def varied_faults(info: DefenseInfo, hyper: Any) -> Iterator[str]:
    """Yield what is wrong with the hyperparameters that a defense declares as ``varied``."""
    defaults = {field.name: field.default for field in fields(hyper)}
    if len(info.varied) > MOST_VARIED:
        yield f"varied: at most {MOST_VARIED} hyperparameters, not {len(info.varied)}"
    for name in info.varied:
        if name not in defaults:
            yield f"varied: Hyper has no {name!r}{nearest(name, defaults)}"
        elif not is_variable(defaults[name]):
            yield f"varied: the default of Hyper.{name} is no number that can be multiplied"


def _is_plain(value: Any) -> bool:
    if isinstance(value, Path):
        return True
    try:
        canonical(value)
    except TypeError:
        return False
    except ValueError:  # infinity or NaN, which validation names
        return isinstance(value, float)
    return True
