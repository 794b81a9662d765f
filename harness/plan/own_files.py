"""Checks of a method file at planning: what would fail only after its victims were trained."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from harness.contract.declare import AttackInfo, DefenseInfo, MethodInfo
from harness.errors import UserError, nearest
from harness.plan.keys import canonical
from harness.plan.validation import faults_of, validate

PARAMETERS = {
    "attack": ("train", "goal", "hyper", "ctx"),
    "defense": ("model", "budget", "hyper", "ctx"),
    "model": ("channels", "classes", "hyper"),
    "trigger": ("images", "state"),
    "prepare": ("train", "goal", "hyper", "ctx"),
    "fault": ("hyper", "shape"),
    "cohort": ("model", "budgets", "hyper", "contexts"),
}
"""What the harness calls each function of a method with, by position."""


def declaration_faults(info: MethodInfo, function: Callable[..., Any]) -> Iterator[str]:
    """Yield what is wrong with a declaration and with the parameters of its functions."""
    declared = {field.name: getattr(info, field.name) for field in fields(info)}
    try:
        validate(type(info), declared)
    except UserError as error:
        for location, message in faults_of(error):
            yield f"{'.'.join(map(str, location))}: {message}"
    functions: dict[str, Any] = {info.kind: function}
    if isinstance(info, AttackInfo):
        functions |= {"trigger": info.trigger, "prepare": info.prepare, "fault": info.fault}
    if isinstance(info, DefenseInfo):
        functions |= {"cohort": info.cohort}
        if info.needs == "external":  # it also gets the test set
            del functions["defense"]
    for role, each in functions.items():
        if fault := parameter_fault(each, PARAMETERS[role]):
            yield fault


def parameter_fault(function: Any, parameters: tuple[str, ...]) -> str | None:
    """Return what is wrong if a function can't be called with these parameters, else None."""
    if not inspect.isfunction(function):
        return None
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        line = inspect.unwrap(function).__code__.co_firstlineno
        return (
            f"line {line}: {function.__name__} is called as "
            f"{function.__name__}({', '.join(parameters)}): {error}"
        )
    return None


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
                yield f"the default of Hyper.{'.'.join(map(str, location))}: {message}"


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


def require_importable(name: str, wanted: tuple[str, ...], files: dict[Path, Path]) -> None:
    """Raise ImportError if a module of the harness, or a name in it, does not exist.

    Args:
        name: the module.
        wanted: what ``from name import ...`` names.
        files: the files of the program by their path in an installed package.
    """
    modules = {_module_name(path): file for path, file in files.items() if path.suffix == ".py"}
    if name not in modules:
        raise ModuleNotFoundError(f"no module {name!r}{_closest(name, modules)}")
    known = _top_level_names(modules[name])
    submodules = {x.rpartition(".")[2] for x in modules if x.rpartition(".")[0] == name}
    for each in wanted:
        if each != "*" and each not in known | submodules:
            hint = _closest(each, known | submodules)
            raise ImportError(f"cannot import name {each!r} from {name!r}{hint}")


def require_installed(name: str) -> None:
    """Raise ModuleNotFoundError if a package that is not of the harness is not there."""
    top = name.partition(".")[0]
    try:
        found = importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        found = True  # a package that is half imported
    if not found:
        raise ModuleNotFoundError(f"no module {top!r}")


def _closest(name: str, known: Any) -> str:
    hint = nearest(name, known)
    return hint if "did you mean" in hint else ""


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _top_level_names(file: Path) -> frozenset[str]:
    names = {"__doc__", "__file__", "__name__"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return frozenset(names)


def require_sound(path: Path, faults: Iterator[str]) -> None:
    """Raise one UserError with all faults of a file."""
    if found := "; ".join(faults):
        raise UserError(f"{path}: {found}")
