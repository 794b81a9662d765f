"""One entry of a study's list, a name or a name with overrides, becomes a method spec."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.contract import Kind
from harness.errors import UserError
from harness.plan.keys import canonical, file_digest
from harness.plan.registry import describe
from harness.plan.spec import MethodSpec
from harness.plan.validation import at, validate


def parse_entry(entry: Any) -> tuple[str, dict[str, Any]]:
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


def resolve_method(kind: Kind, entry: Any, base: Path) -> MethodSpec[Any]:
    """Resolve an entry of ``attacks``, ``defenses`` or ``models``; files are relative to ``base``.

    Raises:
        UserError: unknown method.
        EntryErrors: its overrides are wrong.
    """
    ref, overrides = parse_entry(entry)
    method = describe(kind, ref, base)
    with at(ref, prefix=f"{method.name}: "):
        values = asdict(validate(method.hyper, overrides))
    files = {
        name: _input_file(base, ref, name, value)
        for name, value in values.items()
        if isinstance(value, Path)
    }
    plain = {name: list(x) if isinstance(x, tuple) else x for name, x in values.items()}
    digests = {name: file_digest(path) for name, path in files.items()}
    return MethodSpec(
        kind=kind,
        name=method.name,
        ref=method.ref,
        label=method.name,
        display=method.display_name,
        version=method.version,
        hyper=plain | {name: str(path) for name, path in files.items()},
        identity={"name": method.name, "version": method.version, "hyper": plain | digests},
    )


def _input_file(base: Path, ref: str, name: str, path: Path) -> Path:
    file = (base / path.expanduser()).resolve()
    with at(ref, name):
        if not file.is_file():
            raise UserError(f"no file {file}")
    return file


def overrides_text(entry: Any) -> str:
    """Return the overrides of an entry as ``k=v, k=v``; empty without any."""
    _, overrides = parse_entry(entry)
    return ", ".join(
        f"{name}={value if isinstance(value, str) else canonical(value)}"
        for name, value in overrides.items()
    )
