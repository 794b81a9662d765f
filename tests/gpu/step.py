"""A step of the proof: what it is given, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch


@dataclass(frozen=True)
class Setting:
    """What every step is given."""

    device: str
    tiny: bool
    """In seconds, to see that the step works."""
    out: Path
    """Where files go; those of earlier steps are there."""
    seconds: float
    """How long the step may take."""

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def on_gpu(self) -> bool:
        return self.torch_device.type != "cpu"


class Outcome(NamedTuple):
    """What a step found."""

    passed: bool | None
    """None where it was not reached."""
    said: str
    """One line."""
    values: dict[str, Any]


@dataclass
class Checks:
    """Collects what a step compares, by name."""

    values: dict[str, Any] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any, *, passed: bool = True) -> None:
        """Note a value, and whether it is as it should be."""
        self.values[name] = value
        if not passed:
            self.failed.append(f"{name}: {value}")

    def outcome(self, what: str) -> Outcome:
        """Return the outcome of a step that checked ``what``."""
        if not self.values:
            return Outcome(passed=False, said=f"no {what}: nothing was done", values={})
        if self.failed:
            return Outcome(passed=False, said="; ".join(self.failed), values=self.values)
        return Outcome(passed=True, said=f"{len(self.values)} {what}", values=self.values)
