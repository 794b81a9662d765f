"""The text below each field of a dataclass, as its source has it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import Field, fields
from typing import Any


def described_fields(kind: type) -> list[tuple[Field[Any], str]]:
    """Return the fields of a dataclass, each with the text below it; "" where there is none."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    texts = {
        name.target.id: " ".join(str(ast.literal_eval(below.value)).split())
        for name, below in zip(node.body, node.body[1:], strict=False)
        if isinstance(name, ast.AnnAssign)
        and isinstance(name.target, ast.Name)
        and isinstance(below, ast.Expr)
    }
    return [(field, texts.get(field.name, "")) for field in fields(kind)]
