"""The shortest form of a method, found from the names of its hyperparameters."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from harness.contract import Kind
from harness.plan.registry import load
from tests.helpers.tiny_victims import QUICK

EPOCHS = re.compile(r"(.*_)?epochs")
STEPS = re.compile(r"(.*_)?(iterations|passes|patience|rounds|steps)")
GRID = {"step", "spacing"}
"""Distances between the thresholds that a pruning method tries, as shares."""


def shortest(kind: Kind, name: str) -> dict[str, Any]:
    """Return overrides of a method: one epoch, and two of everything else that is repeated."""
    short = {
        field.name: value
        for field in dataclasses.fields(load(kind, name).hyper)
        if (value := _shortened(field.name, field.default)) is not None
    }
    return {**short, **QUICK.get(name, {})}


def _shortened(name: str, default: Any) -> int | float | None:
    if isinstance(default, bool):
        return None
    if isinstance(default, int):
        if EPOCHS.fullmatch(name):
            return min(default, 1)
        return min(default, 2) if STEPS.fullmatch(name) else None
    return 0.4 if isinstance(default, float) and name in GRID else None
