"""A probe of one model, with its key: plain data, picklable, no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.contract.declare import ProbeInfo
from harness.plan.keys import digest, seed
from harness.plan.spec import Cell, MethodSpec, Victim

PROBING = 1
"""Version of what a probe is handed: raised when the same probe would get other numbers."""


@dataclass(frozen=True)
class ProbeRun:
    """One probe on the defended model of a cell or, as a control, on a clean model."""

    probe: MethodSpec[ProbeInfo]
    victim: Victim
    """The victim whose trigger is used."""
    cell: Cell | None
    """The cell whose model is probed; None for the control."""
    clean: Victim | None
    """The clean model, where the control or the probe needs one."""

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the numbers, as JSON values."""
        subject = {"seed": self.victim.seed} if self.cell is None else {"cell": self.cell.key}
        clean = {} if self.clean is None else {"clean": self.clean.key}
        return {
            "probing": PROBING,
            "probe": self.probe.identity,
            "victim": self.victim.key,
            **subject,
            **clean,
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return digest(self.spec)

    @property
    def needed(self) -> tuple[str, ...]:
        """The keys of the victims and of the cell that it needs."""
        models = (self.victim, self.cell, self.clean)
        return tuple(model.key for model in models if model is not None)

    @property
    def victims(self) -> tuple[Victim, ...]:
        """Its victim, and the clean model if it needs one."""
        return (self.victim,) if self.clean is None else (self.victim, self.clean)

    @property
    def model_key(self) -> str:
        """The key of the cell whose model is probed or, for a control, of the clean model."""
        model = self.cell or self.clean
        assert model is not None
        return model.key

    @property
    def random_seed(self) -> int:
        """The seed of the probe's random numbers: the same for every model of one victim."""
        return seed("probe", self.victim.key, self.victim.seed, self.probe.digest)

    @property
    def name(self) -> str:
        """A readable name, unique within its study."""
        subject = f"{self.victim.name} / clean model" if self.cell is None else self.cell.name
        return f"{subject} / {self.probe.label}"


def plan_probes(
    cells: Iterable[Cell], probes: Iterable[MethodSpec[ProbeInfo]], clean: Mapping[str, Victim]
) -> Iterator[ProbeRun]:
    """Yield the probes of all cells that run, each victim's controls before those of its cells.

    Cells of clean models have no backdoor to look for. ``clean`` has the clean model by the key of
    the victim; a probe that needs one, and a control, is left out without it.
    """
    controlled: set[tuple[str, int]] = set()
    probes = list(probes)
    for cell in cells:
        victim = cell.victim
        if cell.skip is not None or victim.is_clean:
            continue
        reference = clean.get(victim.key)
        possible = [probe for probe in probes if _is_possible(probe.info, victim, reference)]
        if reference is not None and (victim.key, victim.seed) not in controlled:
            controlled.add((victim.key, victim.seed))
            yield from (ProbeRun(probe, victim, None, reference) for probe in possible)
        for probe in possible:
            yield ProbeRun(probe, victim, cell, reference if probe.info.clean_model else None)


def _is_possible(info: ProbeInfo, victim: Victim, clean: Victim | None) -> bool:
    return (
        (victim.source.keeps_trigger or not info.trigger)
        and (clean is not None or not info.clean_model)
        and (info.requires is None or info.requires in victim.model.info.layers)
    )
