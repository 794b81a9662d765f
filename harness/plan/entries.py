"""One entry of a study's list, a name or a name with overrides, becomes a method spec."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.contract import Kind, left_out_of_keys
from harness.errors import UserError, nearest
from harness.plan.declarations import check_declaration, require_own_name
from harness.plan.keys import canonical, file_digest
from harness.plan.paths import is_user_file, user_path
from harness.plan.registry import Method, ask, find, is_function, is_own
from harness.plan.spec import MethodSpec
from harness.plan.validation import at, validate

PRESET = "preset"
"""The key of an entry that names a preset; the entry's other keys override the preset's values."""
DEFAULTS = "comparison"
"""The preset of the defaults, which most methods take from one published comparison."""


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
    path = find(kind, ref, base)
    values = ask(kind, ref, lambda x: vars(_resolved(kind, x, ref, overrides, base)), base)
    spec = MethodSpec[Any](**values)
    if is_own(path) and not is_function(ref):
        require_own_name(kind, path, spec.display)
    return spec


def _resolved(
    kind: Kind, method: Method, ref: str, overrides: dict[str, Any], base: Path
) -> MethodSpec[Any]:
    check_declaration(method, find(kind, ref, base))
    with at(ref, prefix=f"{method.name}: "):
        hyper = validate(method.hyper, _with_preset(method, overrides))
    values = asdict(hyper)
    files = {
        name: _input_file(base, ref, name, value)
        for name, value in values.items()
        if isinstance(value, Path)
    }
    plain = {name: list(x) if isinstance(x, tuple) else x for name, x in values.items()}
    digests = {name: file_digest(path) for name, path in files.items()}
    unused = left_out_of_keys(hyper)
    decisive = {name: x for name, x in (plain | digests).items() if name not in unused}
    return MethodSpec(
        kind=kind,
        name=method.name,
        ref=method.ref,
        label=method.name,
        display=method.display_name,
        version=method.version,
        hyper=plain | {name: str(path) for name, path in files.items()},
        identity={"name": method.name, "version": method.version, "hyper": decisive},
    )


def _with_preset(method: Method, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the preset that the overrides name, and the other overrides on top."""
    given = {key: value for key, value in overrides.items() if key != PRESET}
    name = overrides.get(PRESET, DEFAULTS)
    if name == DEFAULTS:
        return given
    if name not in list(method.presets):
        with at(PRESET):
            known = nearest(str(name), [DEFAULTS, *method.presets])
            raise UserError(f"unknown preset {name!r}{known}")
    return asdict(method.presets[name]) | given


def _input_file(base: Path, ref: str, name: str, path: Path) -> Path:
    with at(ref, name):
        file = user_path(base, path)
        if not is_user_file(file):
            raise UserError(f"no file {file}")
    return file


def label_suffix(entry: Any, *, in_full: bool) -> str:
    """Return what an entry adds to its method's label, as `` (authors, k=v)``; perhaps nothing.

    Args:
        entry: as in the study.
        in_full: whether the overrides are part of it; a preset other than the defaults always is.
    """
    _, overrides = parse_entry(entry)
    preset = overrides.get(PRESET, DEFAULTS)
    shown = [] if preset == DEFAULTS else [str(preset)]
    if in_full:
        shown += [
            f"{name}={value if isinstance(value, str) else canonical(value)}"
            for name, value in overrides.items()
            if name != PRESET
        ]
    return f" ({', '.join(shown)})" if shown else ""
