"""Validates YAML values against a dataclass; every fault has a location."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import UserError, nearest

Location = tuple[str | int, ...]
"""Keys and list indices that lead to a value."""
Fault = tuple[Location, str]
"""Where, relative to the value that was validated, and what is wrong."""


class EntryErrors(UserError):
    """All faults of one entry."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(message for _, message in faults))
        self.faults = faults


def faults_of(error: UserError) -> list[Fault]:
    """Return the faults that an error holds; an error without a location has one."""
    return error.faults if isinstance(error, EntryErrors) else [((), str(error))]


@contextmanager
def at(*location: str | int, prefix: str = "") -> Iterator[None]:
    """Put the faults that are raised inside below ``location``, and ``prefix`` before messages."""
    try:
        yield
    except UserError as error:
        faults = [((*location, *below), prefix + message) for below, message in faults_of(error)]
        raise EntryErrors(faults) from error


def validate(kind: type, values: Any) -> Any:
    """Build the dataclass ``kind`` from YAML values.

    Raises:
        EntryErrors: every unknown, missing or wrong key.
    """
    try:
        return _adapter(kind).validate_python(values, extra="forbid")
    except ValidationError as error:
        known = [field.name for field in fields(kind)]
        faults = [(fault["loc"], _message(fault, known)) for fault in error.errors()]
        raise EntryErrors(faults) from error


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _message(fault: Any, known: list[str]) -> str:
    location, value = fault["loc"], fault["input"]
    if fault["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        hint = nearest(str(location[-1]), known) if len(location) == 1 else ""
        return f"unknown key {location[-1]!r}{hint}"
    if fault["type"] in {"missing", "missing_argument"}:
        return f"{location[-1]!r} is missing"
    shown = "" if isinstance(value, dict | list) else f", not {value!r}"
    message = f"{fault['msg']}{shown}".replace("Input should", "should")
    return message.removeprefix("Value error, ")
