"""The page's methods: what each is, its paper, and the hyperparameters that it ran with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.contract import DefenseInfo
from harness.plan.registry import describe
from harness.plan.spec import MethodSpec
from harness.plan.study import Study

ARXIV = re.compile(r"arXiv[: ]\s*(\d{4}\.\d{4,5})", re.IGNORECASE)


def methods(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Return every attack, defense and architecture of the studies, each version and setting once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for study in studies:
        for spec in _method_specs(study):
            found.setdefault((spec.kind, spec.digest), _method(spec))
    order: list[str] = ["defense", "attack", "model"]
    return sorted(found.values(), key=lambda method: (order.index(method["kind"]), method["label"]))


def _method_specs(study: Study) -> Iterator[MethodSpec[Any]]:
    seen: set[MethodSpec[Any]] = set()
    for cell in study.cells:
        for spec in (cell.defense, cell.victim.attack, cell.victim.model):
            if spec not in seen:
                seen.add(spec)
                yield spec


def _method(spec: MethodSpec[Any]) -> dict[str, Any]:
    info = spec.info
    arxiv = ARXIV.search(info.paper)
    is_defense = isinstance(info, DefenseInfo)
    return {
        "kind": spec.kind,
        "label": spec.label,
        "summary": describe(spec.kind, spec.ref).summary,
        "paper": info.paper,
        "year": info.year,
        "link": f"https://arxiv.org/abs/{arxiv.group(1)}" if arxiv else "",
        "family": info.family if is_defense else "",
        "needs": info.needs if is_defense else "",
        "version": spec.version,
        "hyper": ", ".join(f"{name}={value}" for name, value in spec.identity["hyper"].items()),
    }
