"""Executes a notebook without Jupyter: its cells are Python, and JSON holds what they show."""

from __future__ import annotations

import ast
import base64
import contextlib
import json
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "paper_figure.ipynb"
FORMATS = {"text/markdown": "_repr_markdown_", "image/png": "_repr_png_"}


def executed(path):
    """Return the notebook with what its cells show, run one after the other in its folder."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names, count = {}, 0
    with contextlib.chdir(path.parent):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                count += 1
                value = run("".join(cell["source"]), names)
                cell |= {"execution_count": count, "outputs": outputs(value, count)}
    return notebook


def run(source, names):
    """Run a cell; return the value of its last expression, None without one."""
    body = ast.parse(source).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return None if last is None else eval(compile(last, "cell", "eval"), names)


def outputs(value, count):
    """Return what a notebook keeps of a shown value: its text, or Markdown or a picture."""
    if value is None:
        return []
    data = {"text/plain": lines(repr(value))}
    for kind, method in FORMATS.items():
        if hasattr(value, method):
            shown = getattr(value, method)()
            binary = isinstance(shown, bytes)
            data = {kind: base64.b64encode(shown).decode() if binary else lines(shown)}
    return [
        {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
    ]


def lines(text):
    return text.splitlines(keepends=True)
