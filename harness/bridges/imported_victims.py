"""The entries of ``victims`` in a study: models that were trained elsewhere become victims of the plan.

Every fault of their files is found here, before any training. The files are looked into once per
state of theirs, as a data set is decoded once; that first time imports torch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from harness.bridges.backdoorbench.record_folder import find_records
from harness.bridges.backdoorbench.victims import RecordEntry, victim_of_record
from harness.bridges.checkpoint import CheckpointEntry, victim_of_checkpoint
from harness.bridges.context import ImportContext
from harness.errors import UserError
from harness.plan.spec import Victim
from harness.plan.validation import (
    validate,
)


def resolve_victims(entry: Any, setting: ImportContext) -> list[Victim]:
    """Return the victims of one entry; each has the seed 0, a study gives it its own.

    Raises:
        UserError: what is wrong with the entry, a file or a record, in one line.
        EntryErrors: the same, for keys of the entry.
    """
    if not isinstance(entry, dict) or not entry.keys() & {"backdoorbench", "checkpoint"}:
        raise UserError(f"'backdoorbench: FOLDER' or 'checkpoint: FILE' is needed, not {entry!r}")
    given = validate(RecordEntry if "backdoorbench" in entry else CheckpointEntry, entry)
    if isinstance(given, CheckpointEntry):
        return [victim_of_checkpoint(given, setting)]
    return [
        victim_of_record(folder, given, setting)
        for folder in find_records(given.backdoorbench, setting.base)
    ]


def once_per_seed(victims: list[Victim], seeds: list[int]) -> list[Victim]:
    """Return each victim once per seed of the study, under labels that tell them apart.

    A victim that is named twice is one victim. The seed is that of its cells: its key does not
    depend on it.
    """
    distinct = list({victim.key: victim for victim in victims}.values())
    count = Counter(victim.attack.label for victim in distinct)
    return [
        replace(_disambiguate(victim) if count[victim.attack.label] > 1 else victim, seed=seed)
        for victim in distinct
        for seed in seeds
    ]


def _disambiguate(victim: Victim) -> Victim:
    label = f"{victim.attack.label} ({victim.key[:6]})"
    return replace(victim, attack=replace(victim.attack, label=label, display=label))
