"""The page's methods: what each does, its paper, and the hyperparameters that it ran with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.contract import DefenseInfo
from harness.plan.own_imports import own_imports
from harness.plan.registry import describe
from harness.plan.spec import MethodSpec
from harness.plan.study import Study
from harness.report.frame.labels import methods_of

ARXIV = re.compile(r"arXiv[: ]\s*(\d{4}\.\d{4,5})", re.IGNORECASE)


def methods(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Return every defense, attack, architecture and probe of the studies, each setting once."""
    specs = {(spec.kind, spec.digest): spec for study in studies for spec in methods_of(study)}
    order = ["defense", "attack", "model", "probe"]
    described = map(_method, specs.values())
    return sorted(described, key=lambda method: (order.index(method["kind"]), method["label"]))


def own_files(studies: Sequence[Study]) -> list[str]:
    """Return the paths of the users' own methods, figures and tables, and of what they import."""
    refs = {
        ref.partition(".py")[0] + ".py"
        for study in studies
        for ref in (*(spec.ref for spec in methods_of(study)), *study.figures, *study.tables)
        if ".py" in ref
    }
    files = map(Path, sorted(refs))
    return sorted({str(path) for file in files for path in (file, *own_imports(file))})


def _method(spec: MethodSpec[Any]) -> dict[str, Any]:
    info = spec.info
    arxiv = ARXIV.search(info.paper)
    is_defense = isinstance(info, DefenseInfo)
    return {
        "kind": spec.kind,
        "label": spec.label,
        "name": spec.display,
        "summary": describe(spec.kind, spec.ref).summary,
        "paper": info.paper,
        "year": info.year,
        "link": f"https://arxiv.org/abs/{arxiv.group(1)}" if arxiv else "",
        "family": info.family if is_defense else "",
        "needs": info.needs if is_defense else "",
        "version": spec.version,
        "hyper": ", ".join(f"{name}={value}" for name, value in spec.identity["hyper"].items()),
    }
