"""One entry of a study's list: a name, or a name with overrides, resolved and checked."""

from __future__ import annotations

import functools
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.contract import Kind
from harness.errors import UserError, nearest
from harness.plan.keys import canonical, file_digest
from harness.plan.registry import Method, describe
from harness.plan.spec import MethodSpec

Fault = tuple[tuple[str | int, ...], str]
"""Where, below the place of what was checked, and what is wrong."""


def split(entry: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and the overrides of an entry: ``name``, or ``{name: {key: value}}``.

    Raises:
        UserError: anything else.
    """
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and len(entry) == 1:
        name, overrides = next(iter(entry.items()))
        if isinstance(name, str) and isinstance(overrides or {}, dict):
            return name, overrides or {}
    raise UserError(f"a name, or one name with a mapping of overrides, is needed, not {entry!r}")


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type, values: Any) -> tuple[Any, list[Fault]]:
    """Build the dataclass ``kind`` from ``values``; return it, or None and every fault."""
    try:
        return _adapter(kind).validate_python(values, extra="forbid"), []
    except ValidationError as error:
        known = [field.name for field in fields(kind)]
        return None, [(fault["loc"], _sentence(fault, known)) for fault in error.errors()]


def _sentence(fault: Any, known: list[str]) -> str:
    loc, given = fault["loc"], fault["input"]
    if fault["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"unknown key {loc[-1]!r}" + (nearest(str(loc[-1]), known) if len(loc) == 1 else "")
    if fault["type"] in {"missing", "missing_argument"}:
        return f"{loc[-1]!r} is missing"
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    return f"{fault['msg']}{shown}".replace("Input should", "should").removeprefix("Value error, ")


def method_choice(kind: Kind, entry: Any, base: Path) -> tuple[MethodSpec, Method]:
    """Resolve an entry of ``attacks``, ``defenses`` or ``models``; files are relative to ``base``.

    Raises:
        UserError: unknown method.
        FaultsError: its overrides are wrong.
    """
    ref, overrides = split(entry)
    method = describe(kind, ref, base)
    hyper, faults = checked(method.hyper, overrides)
    if faults:
        raise EntryErrors([((ref, *place), f"{method.name}: {text}") for place, text in faults])
    values = asdict(hyper)
    files = {
        name: _input_file(base, ref, name, x) for name, x in values.items() if isinstance(x, Path)
    }
    plain = {name: list(x) if isinstance(x, tuple) else x for name, x in values.items()}
    contents = {name: file_digest(path) for name, path in files.items()}
    identity = {"name": method.name, "version": method.version, "hyper": {**plain, **contents}}
    return (
        MethodSpec(
            name=method.name,
            ref=method.ref,
            label=method.name,
            display=method.display_name,
            version=method.version,
            hyper={**plain, **{name: str(path) for name, path in files.items()}},
            identity=identity,
        ),
        method,
    )


def _input_file(base: Path, ref: str, name: str, path: Path) -> Path:
    full = (base / path.expanduser()).resolve()
    if not full.is_file():
        raise EntryErrors([((ref, name), f"no file {full}")])
    return full


def hyper_of(choice: MethodSpec, hyper: type) -> Any:
    """Return the choice's hyperparameters as an instance of the method's ``Hyper``."""
    return _adapter(hyper).validate_python(choice.hyper)


class EntryErrors(Exception):
    """Faults of one entry, each with its place below the entry."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = faults


def overrides_text(entry: Any) -> str:
    """Return the overrides of an entry as ``k=v, k=v``, empty without any."""
    _, overrides = split(entry)
    return ", ".join(f"{name}={_short(value)}" for name, value in overrides.items())


def _short(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)
