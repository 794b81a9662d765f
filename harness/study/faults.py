"""Collects every fault of a study file, so that the user sees them all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.errors import UserError
from harness.plan.validation import faults_of
from harness.study.yamlfile import YamlFile

T = TypeVar("T")


class FaultCollector:
    """The faults of one file, each with its line and key."""

    def __init__(self, file: YamlFile) -> None:
        self.file = file
        self.lines: list[str] = []

    def add(self, location: Sequence[str | int], message: str) -> None:
        """Note a fault at a location of the file."""
        self.lines.append(f"{self.file.where(location)}: {message}")

    @contextmanager
    def catch(self, *location: str | int) -> Iterator[None]:
        """Note the faults that are raised inside, below ``location``, and go on after the block."""
        try:
            yield
        except UserError as error:
            for below, message in faults_of(error):
                self.add((*location, *below), message)

    def raise_all(self) -> None:
        """Raise one UserError with a line per fault, if there is any."""
        if self.lines:
            raise UserError("\n".join(dict.fromkeys(self.lines)))

    def resolve_list(
        self,
        key: str,
        entries: Sequence[Any],
        resolve: Callable[[Any], T],
        identity: Callable[[T], object] = lambda x: x,
    ) -> list[T]:
        """Resolve the entries of a list, without the faulty ones; no two may have one identity."""
        resolved: list[T] = []
        for i, entry in enumerate(entries):
            with self.catch(key, i):
                resolved.append(resolve(entry))
        if not self.lines:
            self.require_distinct(key, [identity(x) for x in resolved])
        return resolved

    def require_distinct(self, key: str, values: list[Any]) -> None:
        """Note every value of a list that is a repetition."""
        for i, value in enumerate(values):
            if value in values[:i]:
                self.add((key, i), f"the same as {key}[{values.index(value)}]")
