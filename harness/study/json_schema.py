"""The JSON Schema of a study file, for editors: keys, types, names and what each key means."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import TypeAdapter

from harness.data.catalog import CATALOG
from harness.plan.gate import Gate
from harness.plan.paper import Paper
from harness.plan.rank import Rank
from harness.plan.registry import names
from harness.study.described import described_fields
from harness.study.schema import Skip, StudyFile

OWN_FILE = {"type": "string", "pattern": r"\.py(:\w+)?$"}


def study_schema() -> dict[str, Any]:
    """Return the schema, as JSON values.

    It knows the names of methods and data sets, not their hyperparameters: ``defuse run --dry-run``
    checks those.
    """
    schema = TypeAdapter(StudyFile).json_schema()
    described = {"Gate": Gate, "Paper": Paper, "Rank": Rank, "Skip": Skip}
    for name, definition in schema["$defs"].items():
        _describe(definition, described[name])
    _describe(schema, StudyFile)
    entries = {
        "data": _entry(sorted(CATALOG)),
        "models": _entry(names("model"), own=True),
        "attacks": _entry(names("attack"), own=True),
        "defenses": _entry(names("defense"), own=True),
        "probes": _entry(names("probe"), own=True),
    }
    for key, entry in entries.items():
        schema["properties"][key]["items"] = entry
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A Defuse study"}
    return {**schema, **head, "description": inspect.getdoc(StudyFile)}


def _describe(definition: dict[str, Any], kind: type) -> None:
    """Close an object's keys, and say what each of them means."""
    definition["additionalProperties"] = False
    for field, text in described_fields(kind):
        if text:
            definition["properties"][field.name]["description"] = text.replace("``", "`")


def _entry(known: Any, *, own: bool = False) -> dict[str, Any]:
    """Return the schema of a list's entry: a name, an own file, or one of them with settings."""
    forms: list[dict[str, Any]] = [{"enum": list(known)}, *([OWN_FILE] if own else [])]
    settings = {"type": "object", "minProperties": 1, "maxProperties": 1}
    if own:
        settings["propertyNames"] = {"anyOf": [*forms, {"const": "backdoorbench"}]}
    return {"anyOf": [*forms, settings]}
