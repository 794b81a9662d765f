"""The catalogue: methods with their paper, needs and hyperparameters, and data sets."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any

from harness.contract import Kind, Layer
from harness.plan.registry import describe, names

KINDS: dict[str, Kind] = {
    "attacks": "attack",
    "defenses": "defense",
    "models": "model",
    "probes": "probe",
}


def entries(kind: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return all entries of a kind, or of all kinds for None, as JSON values."""
    kinds = [kind] if kind else [*KINDS, "data"]
    return {name: _data() if name == "data" else _methods(KINDS[name]) for name in kinds}


def _methods(kind: Kind) -> list[dict[str, Any]]:
    return [_method(kind, name) for name in names(kind)]


def _method(kind: Kind, name: str) -> dict[str, Any]:
    method = describe(kind, name)
    entry = {
        "name": name,
        "display_name": method.display_name,
        "summary": method.summary,
        "paper": method.info.paper,
        "year": method.info.year,
    }
    if kind == "defense":
        entry |= {
            "family": method.info.family,
            "needs": method.info.needs,
            "least_spc": method.info.least_spc,
            "architectures": _architectures(method.info.requires),
            "varied": list(method.info.varied),
        }
    if kind == "probe":
        entry["numbers"] = {name: number.label for name, number in method.info.numbers.items()}
    if kind == "model":
        entry["layers"] = list(method.info.layers)
    defaults = {field.name: _default(field) for field in fields(method.hyper)}
    presets = {name: _differing(hyper, defaults) for name, hyper in method.presets.items()}
    return {**entry, "hyper": defaults, "presets": presets}


def _differing(preset: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a preset that are not the defaults."""
    return {name: value for name, value in asdict(preset).items() if value != defaults[name]}


def _architectures(required: Layer | None) -> list[str]:
    """Return the architectures that have the layers that a defense requires."""
    models = list(names("model"))
    if required is None:
        return models
    return [name for name in models if required in describe("model", name).info.layers]


def _default(field: Field[Any]) -> Any:
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    return None if value is MISSING else str(value) if isinstance(value, Path) else value


def _data() -> list[dict[str, Any]]:
    from harness.data.catalog import CATALOG

    return [{"name": name, **asdict(entry)} for name, entry in sorted(CATALOG.items())]


def as_text(catalogue: dict[str, list[dict[str, Any]]]) -> str:
    """Return the entries as text."""
    return "\n".join(
        line for kind, rows in catalogue.items() for line in (kind, *_lines(rows), "")
    ).rstrip()


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    width = max(len(row["name"]) for row in rows)
    lines = []
    for row in rows:
        summary = row.get("summary") or row.get("reference") or ""
        shown = row.get("display_name", row["name"])
        named = shown == row["name"] or summary.startswith(shown)
        title = summary if named else f"{shown}: {summary}"
        lines.append(f"  {row['name']:{width}}  {title}")
        if row.get("paper"):
            lines.append(f"  {'':{width}}  {row['paper']} ({row['year']})")
        if "family" in row:
            lines.append(f"  {'':{width}}  {_requirements(row)}")
        if "numbers" in row:
            lines.append(f"  {'':{width}}  measures {', '.join(row['numbers'].values())}")
        if row.get("hyper"):
            lines.append(f"  {'':{width}}  {_values(row['hyper'])}")
        for name, differing in row.get("presets", {}).items():
            values = _values(differing) or "the defaults"
            lines.append(f"  {'':{width}}  preset {name}: {values}")
    return lines


def _values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    """Return a value as text, a float in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _requirements(row: dict[str, Any]) -> str:
    """Return a defense's family and requirements in one line."""
    least = f", at least SPC {row['least_spc']}" if row["least_spc"] > 1 else ""
    return f"{row['family']}; needs {row['needs']}{least}; {_runs_on(row['architectures'])}"


def _runs_on(architectures: list[str]) -> str:
    """Return on which architectures a defense runs, or on which it does not, if these are fewer."""
    others = [name for name in names("model") if name not in architectures]
    if not others:
        return "runs on every architecture"
    if len(others) < len(architectures):
        return f"does not run on {', '.join(others)}"
    return f"runs on {', '.join(architectures)}"
