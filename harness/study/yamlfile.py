"""A YAML file with the line of each of its values, so that a fault can name its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError

Place = tuple[str | int, ...]


class YamlFile:
    """The content of a YAML file, and where in the file each value stands."""

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

    def where(self, place: Sequence[str | int]) -> str:
        """Return ``file:line: key[0].key`` for a value, or for the nearest value that holds it."""
        node, line, said = self._root, 1, ""
        for part in place:
            node = _child(node, part)
            if node is None:
                break
            line = node.start_mark.line + 1
            said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
        return f"{self.path}:{line}: {said}" if said else f"{self.path}:{line}"

    def repeated_keys(self) -> Iterator[Place]:
        """Yield the place of every key that stands twice in one mapping (YAML would keep the last)."""
        yield from _repeated(self._root, ())


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child: yaml.Node = node.value[part]
        return child
    return None


def _repeated(node: yaml.Node | None, place: Place) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*place, str(key.value))
            if key.value in seen:
                yield here
            seen.add(key.value)
            yield from _repeated(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _repeated(value, (*place, i))
