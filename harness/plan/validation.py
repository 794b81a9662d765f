"""Validates YAML values against a dataclass; every fault has a location."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from harness.errors import EntryErrors, Fault, Location, UserError, closest, faults_of, nearest

INTEGERS = range(-(2**63), 2**63)
"""The integers that records can hold."""
NOT_64_BITS = "a whole number of at most 64 bits is needed"
NOT_FINITE = "a finite number is needed"
UNKNOWN = {"unexpected_keyword_argument", "extra_forbidden"}
MISSING = {"missing", "missing_argument", "missing_keyword_only_argument"}
"""What pydantic calls the faults of a key."""
Part = TypeVar("Part")


@contextmanager
def at(*location: str | int, prefix: str = "") -> Iterator[None]:
    """Put the faults that are raised inside below ``location``, and ``prefix`` before messages."""
    try:
        yield
    except UserError as error:
        faults = [((*location, *below), prefix + message) for below, message in faults_of(error)]
        raise EntryErrors(faults) from error


class EntryFaults:
    """The faults of one entry: its parts are resolved apart, so that all faults are named."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    @contextmanager
    def at(self, *location: str | int) -> Iterator[None]:
        """Note the faults that are raised inside, below ``location``, and go on after the block."""
        try:
            with at(*location):
                yield
        except EntryErrors as error:
            self.found += error.faults

    def part(
        self, key: str, entry: Mapping[str, Any], resolve: Callable[[Any], Part]
    ) -> Part | None:
        """Return what the value of a key is resolved to; None without it, or with a fault."""
        if key in entry and not any(location[:1] == (key,) for location, _ in self.found):
            with self.at(key):
                return resolve(entry[key])
        return None

    def raise_all(self) -> None:
        """Raise what was noted.

        Raises:
            EntryErrors: there are faults.
        """
        if self.found:
            raise EntryErrors(self.found)


def validate(kind: type, values: Any) -> Any:
    """Build the dataclass ``kind`` from YAML values.

    Raises:
        EntryErrors: every unknown, missing or wrong key; a key that is missing because it is
            misspelt is named once.
    """
    try:
        built = _adapter(kind).validate_python(values, extra="forbid")
    except ValidationError as error:
        found = [(_location(fault), fault) for fault in error.errors()]
        meant = {_meant(at, kind) for at, fault in found if fault["type"] in UNKNOWN}
        faults = [
            (at, _message(fault, kind))
            for at, fault in found
            if fault["type"] not in MISSING or at not in meant
        ]
        raise EntryErrors(faults) from error
    except (OverflowError, RecursionError) as error:
        raise UserError(f"a value is too large or refers to itself: {error}") from error
    if wrong := list(_wrong_numbers(values, built, ())):
        raise EntryErrors(wrong)
    return built


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        adapter.rebuild(raise_errors=True)  # an annotation that names nothing is found here
        return adapter
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"the type of a field of {kind.__name__} is unusable: {reason}") from error


def _wrong_numbers(given: Any, built: Any, location: Location) -> Iterator[Fault]:
    """Yield what is no number although it became one, and numbers that no key can hold."""
    if is_dataclass(built):
        if given is not built:
            for field in fields(built):
                child = given.get(field.name) if isinstance(given, dict) else None
                yield from _wrong_numbers(
                    child, getattr(built, field.name, None), (*location, field.name)
                )
    elif isinstance(built, dict):
        for key, child in built.items():
            before = given.get(key) if isinstance(given, dict) else None
            yield from _wrong_numbers(before, child, (*location, str(key)))
    elif isinstance(built, list | tuple):
        for i, child in enumerate(built):
            parallel = isinstance(given, list | tuple) and i < len(given)
            yield from _wrong_numbers(given[i] if parallel else None, child, (*location, i))
    elif isinstance(built, int | float) and not isinstance(built, bool):
        if isinstance(given, bool):
            yield location, f"a number is needed, not {str(given).lower()}"
        elif isinstance(built, float) and not math.isfinite(built):
            yield location, f"{NOT_FINITE}, not {built}"
        elif isinstance(built, int) and built not in INTEGERS:
            yield location, NOT_64_BITS


def _location(fault: Any) -> Location:
    return tuple(part if isinstance(part, int) else str(part) for part in fault["loc"])


def _meant(location: Location, kind: type) -> Location:
    """Return where the key lies that an unknown one is closest to."""
    return (*location[:-1], closest(str(location[-1]), _keys(kind, location)))


def _message(fault: Any, kind: type) -> str:
    location, value = fault["loc"], fault["input"]
    if fault["type"] in UNKNOWN:
        return f"unknown key {location[-1]!r}{nearest(str(location[-1]), _keys(kind, location))}"
    if fault["type"] in MISSING:
        return f"{location[-1]!r} is missing"
    shown = "" if isinstance(value, dict | list) else f", not {_shortened(repr(value))}"
    message = f"{fault['msg']}{shown}".replace("Input should", "should")
    if fault["type"] == "literal_error" and isinstance(value, str):
        hint = nearest(value, re.findall("'([^']*)'", fault["ctx"]["expected"]))
        message += hint if "did you mean" in hint else ""
    return message.removeprefix("Value error, ")


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text):,} characters)"


def _keys(kind: Any, location: Location) -> list[str]:
    """Return the keys of the dataclass that holds the last key of a location, if it is one."""
    for part in location[:-1]:
        options = [x for x in (get_args(kind) or (kind,)) if x is not type(None)]
        hints = get_type_hints(options[0]) if is_dataclass(options[0]) else {}
        if get_origin(kind) in {list, tuple} and isinstance(part, int):
            kind = options[0]
        elif part in hints:
            kind = hints[str(part)]
        else:
            return []
    kind = next((x for x in (kind, *get_args(kind)) if is_dataclass(x)), None)
    return [] if kind is None else [field.name for field in fields(kind)]
