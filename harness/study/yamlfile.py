"""A YAML file that knows the line of each of its values, so that a fault can name it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import Fault, Location, UserError
from harness.plan.validation import INTEGERS, NOT_64_BITS, NOT_FINITE
from harness.study.overrides import COMMAND_LINE, overridden

MOST_BYTES = 500_000
MOST_VALUES = 50_000
"""Values of a file, those that an alias repeats included."""
OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?)")
"""Numbers that YAML 1.1 reads to the base 8 or 60."""
DEEPEST = 50
"""Lists and mappings inside one another."""


class YamlFile:
    """The content of a YAML file, with the position of each value.

    Raises:
        UserError: the file can't be read, is no YAML, or is larger than a study can be.
    """

    def __init__(self, path: Path, overrides: Mapping[str, Any] | None = None) -> None:
        """Read a file; ``overrides`` are values of the command line, by key."""
        self.path = path
        self._overridden = {key.partition(".")[0] for key in overrides or {}}
        try:
            text = _read(path)
            loader = _Loader(text)
            self._root = loader.get_single_node()
            self._repeated = list(_repeated(self._root, ()))
            self.content: Any = (
                None if self._root is None else loader.construct_document(self._root)
            )
            self.content = overridden(self.content, dict(overrides or {}))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not a UTF-8 text") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            message = ", ".join(text for text in (error.context, error.problem) if text)
            raise UserError(f"{path}{line}: not YAML: {message}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error

    def where(self, location: Sequence[str | int]) -> str:
        """Return ``file:line: key[0].key`` of a value, or of the nearest value around it."""
        if location and location[0] in self._overridden:
            return f"{COMMAND_LINE}: {'.'.join(map(str, location))}"
        node, line, path = self._root, 1, ""
        for part in location:
            node = _child(node, part)
            if node is None:
                break
            line = node.start_mark.line + 1
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        return f"{self.path}:{line}: {path}" if path else f"{self.path}:{line}"

    def repeated_keys(self) -> Iterator[Location]:
        """Yield the location of every key that one mapping has twice; YAML would keep the last."""
        yield from self._repeated

    def unusable_values(self) -> Iterator[Fault]:
        """Yield the faults of values and keys that are valid YAML and fit no key of any study."""
        yield from _unusable(self.content, ())


def _read(path: Path) -> str:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: not a regular file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: longer than {MOST_BYTES:,} bytes, the most that a study may have")
    return content.decode("utf-8-sig")


class _Loader(yaml.SafeLoader):
    """Builds numbers, texts, truth values, lists and mappings, and bounds their number and depth.

    A date is the text that it is written as.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.values = 0
        self.extents: dict[yaml.Node, tuple[int, int]] = {}
        """The number of values in each node that is complete, and their depth."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        if not is_alias:
            self._require_room(1, 0, mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return None
        if not is_alias:
            self.extents[node] = self._extent(node)
        elif node not in self.extents:
            raise yaml.MarkedYAMLError(
                problem="an alias of a value inside itself", problem_mark=mark
            )
        else:
            self._require_room(*self.extents[node], mark)
        return node

    def _require_room(self, values: int, depth: int, mark: yaml.Mark) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values, the most that a study may have"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        if self.depth + depth > DEEPEST:
            problem = f"more than {DEEPEST} lists and mappings inside one another"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)

    def _extent(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 0
        pairs = isinstance(node, yaml.MappingNode)
        children = [child for pair in node.value for child in pair] if pairs else node.value
        extents = [self.extents[child] for child in children]
        return 1 + sum(n for n, _ in extents), 1 + max((depth for _, depth in extents), default=0)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # whatever int() and the like raise
            kind = node.tag.rpartition(":")[2]
            problem = f"no {kind} of at most 4,300 digits" if kind == "int" else f"no {kind}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error
        if isinstance(value, int | float) and OTHER_BASE.fullmatch(str(node.value)):
            problem = f"{node.value} is {value} in YAML; write that, or put a text in quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return value


_PLAIN = {
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")
}
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag in _PLAIN
}
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if not pair[0].endswith(":timestamp")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _unusable(value: Any, location: Location) -> Iterator[Fault]:
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(key, str):
                yield from _unusable(key, location)
                yield from _unusable(child, (*location, key))
            else:
                yield location, f"a key is a text, not {key!r}; put it in quotes"
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from _unusable(child, (*location, i))
    elif isinstance(value, float) and not math.isfinite(value):
        yield location, f"{NOT_FINITE}, not {value}"
    elif isinstance(value, int) and value not in INTEGERS:
        yield location, NOT_64_BITS
    elif isinstance(value, str) and not _is_text(value):
        yield location, f"a text without NUL and half characters is needed, not {value!r}"


def _is_text(value: str) -> bool:
    return "\0" not in value and value.encode("utf-8", "ignore").decode("utf-8") == value


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child: yaml.Node = node.value[part]
        return child
    return None


def _repeated(node: yaml.Node | None, location: Location) -> Iterator[Location]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            child = (*location, str(key.value))
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield child
                seen.add(key.value)
            yield from _repeated(value, child)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _repeated(value, (*location, i))
