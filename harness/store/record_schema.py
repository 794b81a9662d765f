"""The JSON Schema of a record, with the text of every field."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import msgspec

from harness.store import record


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one line of a record file."""
    schema = msgspec.json.schema(record.Record)
    texts = _field_texts()
    for name, definition in schema["$defs"].items():
        for field, about in definition.get("properties", {}).items():
            if text := _inherited(texts, getattr(record, name), field):
                about["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _inherited(texts: dict[tuple[str, str], str], kind: type, field: str) -> str | None:
    return next(
        (texts[x.__name__, field] for x in kind.mro() if (x.__name__, field) in texts), None
    )


def _field_texts() -> dict[tuple[str, str], str]:
    """Return the docstrings below the fields, by class and field."""
    classes = [x for x in ast.parse(inspect.getsource(record)).body if isinstance(x, ast.ClassDef)]
    return {
        (kind.name, field.target.id): " ".join(ast.literal_eval(below.value).split())
        for kind in classes
        for field, below in zip(kind.body, kind.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
    }
