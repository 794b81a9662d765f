"""Collects every fault of a study file, so that the user sees them all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.errors import UserError, faults_of
from harness.study.yamlfile import YamlFile

MOST_LINES = 100
"""Faults that are shown; a file may have thousands of the same."""
MOST_CHARACTERS = 1000
"""Characters of one fault; a value in it may be megabytes long."""

T = TypeVar("T")


class FaultCollector:
    """The faults of one file, each with its line and key."""

    def __init__(self, file: YamlFile) -> None:
        self.file = file
        self.lines: list[str] = []
        self.keys: set[str | int] = set()
        """The keys of the file that have a fault."""
        self.positions: dict[str, list[int]] = {}
        """Where in its list each entry lies that ``resolve_list`` returned, by key."""

    def add(self, location: Sequence[str | int], message: str) -> None:
        """Note a fault at a location of the file."""
        self.keys.update(location[:1])
        text = f"{self.file.where(location)}: {' '.join(message.splitlines())}"
        shown = text[:MOST_CHARACTERS]
        self.lines.append(shown if shown == text else f"{shown}... ({len(text):,} characters)")

    @contextmanager
    def catch(self, *location: str | int) -> Iterator[None]:
        """Note the faults that are raised inside, below ``location``, and go on after the block."""
        try:
            yield
        except UserError as error:
            for below, message in faults_of(error):
                self.add((*location, *below), message)
        except OSError as error:
            self.add(location, f"{error.strerror or error}: {error.filename}")

    def raise_all(self) -> None:
        """Raise one UserError with a line per fault, if there is any."""
        if self.lines:
            distinct = list(dict.fromkeys(self.lines))
            hidden = len(distinct) - MOST_LINES
            more = [f"{self.file.path}: {hidden:,} more faults"] if hidden > 0 else []
            raise UserError("\n".join(distinct[:MOST_LINES] + more))

    def resolve_list(
        self,
        key: str,
        entries: Sequence[Any],
        resolve: Callable[[Any], T],
        identity: Callable[[T], object] = lambda x: x,
        positions: Sequence[int] | None = None,
    ) -> list[T]:
        """Resolve the entries of a list, without the faulty ones; no two may have one identity.

        ``positions`` are those in the file, where one entry there became several.
        """
        resolved: list[T] = []
        self.positions[key] = []
        places = range(len(entries)) if positions is None else positions
        for i, entry in zip(places, entries, strict=True):
            with self.catch(key, i):
                resolved.append(resolve(entry))
                self.positions[key].append(i)
        self.require_distinct(key, [identity(x) for x in resolved], self.positions[key])
        return resolved

    def require_distinct(
        self, key: str, values: list[Any], positions: Sequence[int] | None = None
    ) -> None:
        """Note every value of a list that is a repetition; ``positions`` are those in the file."""
        first: dict[object, int] = {}
        places = range(len(values)) if positions is None else positions
        for i, value in zip(places, map(_hashable, values), strict=True):
            if value in first:
                other = f"{key}[{first[value]}]" if first[value] < i else "another of its values"
                self.add((key, i), f"the same as {other}")
            first.setdefault(value, i)


def _hashable(value: Any) -> object:
    """Return a value that is equal to another's exactly if the two are equal."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(child)) for key, child in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
