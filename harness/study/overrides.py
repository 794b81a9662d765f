"""Keys of a study that a command line sets: ``seeds='[0, 1]'``, ``gate.asr=0.5``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError

COMMAND_LINE = "command line"
SETTING = re.compile(r"[A-Za-z_][\w.]*=(.*[^,)])?", re.DOTALL)
"""KEY=VALUE; no part of a label such as ``ims (k=5, lr=0.01)``."""


def split_settings(words: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the other words of a command line, such as files, and those that are KEY=VALUE."""
    others: list[str] = []
    settings: list[str] = []
    for word in words:
        is_setting = SETTING.fullmatch(word) and not Path(word).exists()
        (settings if is_setting else others).append(word)
    return tuple(others), tuple(settings)


def parse_overrides(settings: Iterable[str]) -> dict[str, Any]:
    """Return the values by key, read as YAML; a dot leads into a mapping.

    Raises:
        UserError: one is not KEY=VALUE, or its value is no YAML.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise UserError(
                f"{COMMAND_LINE}: KEY=VALUE is needed, like seeds='[0, 1]', not {setting!r}"
            )
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{COMMAND_LINE}: {key}: no YAML: {reason}") from error
    return values


def overridden(content: Any, values: dict[str, Any]) -> Any:
    """Return the content of a study file with values of the command line in it."""
    if not values or not isinstance(content, dict):
        return content
    result = dict(content)
    for key, value in values.items():
        head, *rest = key.split(".")
        inner = value
        for name in reversed(rest):
            inner = {name: inner}
        before = result.get(head)
        result[head] = {**before, **inner} if rest and isinstance(before, dict) else inner
    return result
