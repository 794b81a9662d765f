"""What a user's own file needs to run: functions that can be called, imports that exist."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import nearest

NO_RESULT = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)


def parameter_fault(function: Any, parameters: tuple[str, ...]) -> str | None:
    """Return what is wrong if a function can't be called with these parameters, else None."""
    if inspect.isclass(function):
        return f"a function is needed, not the class {function.__name__}"
    if not inspect.isfunction(function):
        return None
    if any(is_one(function) for is_one in NO_RESULT):
        return f"{function.__name__} must return its result: no async function, no yield"
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        line = inspect.unwrap(function).__code__.co_firstlineno
        return (
            f"line {line}: {function.__name__} is called as "
            f"{function.__name__}({', '.join(parameters)}): {error}"
        )
    return None


def modules_of(files: Mapping[Path, Path]) -> dict[str, Path]:
    """Return the modules among some files, which are given by their path in a package, by name."""
    return {_module_name(path): file for path, file in files.items() if path.suffix == ".py"}


def require_importable(name: str, wanted: tuple[str, ...], modules: Mapping[str, Path]) -> None:
    """Raise ImportError if a module of the harness, or a name in it, does not exist.

    Args:
        name: the module.
        wanted: what ``from name import ...`` names.
        modules: the files of all modules of the program.
    """
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
