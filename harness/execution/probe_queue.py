"""The open probes of a run: each can start once the victims and the cell that it needs are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from harness.plan.probes import ProbeRun


class ProbeQueue:
    """Holds open probes until everything that they need is done, and hands out the others."""

    def __init__(self, runs: Iterable[ProbeRun], unfinished: set[str]) -> None:
        """Sort probes; ``unfinished`` has the keys of cells and victims that are yet to end."""
        self._missing: dict[str, set[str]] = {}
        """What each waiting probe still needs, by its key."""
        self._waiting: dict[str, list[ProbeRun]] = defaultdict(list)
        """Waiting probes by each key that they need."""
        self._ready: dict[str, dict[str, list[ProbeRun]]] = defaultdict(dict)
        """Probes that can start, by victim and by the key of the model."""
        self._begun: set[str] = set()
        """Keys of the models of which a probe was handed out."""
        self.free: list[ProbeRun] = []
        """Probes that wait for nothing from the beginning."""
        for run in runs:
            missing = {key for key in run.needed if key in unfinished}
            if not missing:
                self.free.append(run)
                continue
            self._missing[run.key] = missing
            for key in missing:
                self._waiting[key].append(run)

    def settle(self, key: str) -> list[ProbeRun]:
        """Return the probes that waited for this cell or victim and now wait for nothing."""
        freed = []
        for run in self._waiting.pop(key, []):
            self._missing[run.key].discard(key)
            if not self._missing[run.key]:
                del self._missing[run.key]
                freed.append(run)
        return freed

    def add(self, run: ProbeRun) -> None:
        """Take a probe that can start."""
        self._ready[run.victim.key].setdefault(run.model_key, []).append(run)

    def next(self, victim: str | None, model: str | None) -> ProbeRun | None:
        """Return a probe of this victim; None if none can start.

        A model may cost a run of its defense: those of the last ``model`` come first, then those of
        models that no worker has begun with.
        """
        by_model = self._ready.get(victim or "")
        if not by_model:
            return None
        fresh = (key for key in by_model if key not in self._begun)
        key = model if model in by_model else next(fresh, next(iter(by_model)))
        assert key is not None
        self._begun.add(key)
        run = by_model[key].pop(0)
        if not by_model[key]:
            del by_model[key]
        return run

    def any_victim(self) -> str | None:
        """Return the key of a victim whose probes can start."""
        return next((key for key, by_model in self._ready.items() if by_model), None)
