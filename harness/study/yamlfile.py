"""A YAML file that knows the line of each of its values, so that a fault can name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError
from harness.plan.validation import Location


class YamlFile:
    """The content of a YAML file, with the position of each value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            self.content: Any = yaml.safe_load(text)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not a UTF-8 text") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error

    def where(self, location: Sequence[str | int]) -> str:
        """Return ``file:line: key[0].key`` of a value, or of the nearest value around it."""
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
        yield from _repeated(self._root, ())


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
            if key.value in seen:
                yield child
            seen.add(key.value)
            yield from _repeated(value, child)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _repeated(value, (*location, i))
