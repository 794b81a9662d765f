"""The page's methods: what each is, its paper, and the hyperparameters that it ran with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.contract import Kind
from harness.plan.registry import describe
from harness.plan.spec import MethodSpec, Study

ARXIV = re.compile(r"arXiv[: ]\s*(\d{4}\.\d{4,5})", re.IGNORECASE)


def methods(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Return every attack, defense and architecture of the studies, each version and setting once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for study in studies:
        for kind, choice in _choices(study):
            found.setdefault((kind, str(choice.identity)), _method(kind, choice))
    order: list[str] = ["defense", "attack", "model"]
    return sorted(found.values(), key=lambda method: (order.index(method["kind"]), method["label"]))


def _choices(study: Study) -> Iterator[tuple[Kind, MethodSpec]]:
    seen: set[int] = set()
    for cell in study.cells:
        chosen: tuple[tuple[Kind, MethodSpec], ...] = (
            ("defense", cell.defense),
            ("attack", cell.victim.attack),
            ("model", cell.victim.model),
        )
        for kind, choice in chosen:
            if id(choice) not in seen:
                seen.add(id(choice))
                yield kind, choice


def _method(kind: Kind, choice: MethodSpec) -> dict[str, Any]:
    method = describe(kind, choice.ref)
    arxiv = ARXIV.search(method.about.paper)
    return {
        "kind": kind,
        "label": choice.label,
        "summary": method.summary,
        "paper": method.about.paper,
        "year": method.about.year,
        "link": f"https://arxiv.org/abs/{arxiv.group(1)}" if arxiv else "",
        "family": method.about.family,
        "needs": method.about.needs if kind == "defense" else "",
        "version": choice.version,
        "hyper": ", ".join(f"{name}={value}" for name, value in choice.identity["hyper"].items()),
    }
