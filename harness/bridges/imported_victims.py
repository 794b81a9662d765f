"""Resolves the entries of ``victims`` in a study: models that were trained elsewhere.

Every fault of their files is found here, before any training. Files are inspected once and again
when they change; an inspection imports torch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from harness.bridges.backdoorbench.record_folder import find_records
from harness.bridges.backdoorbench.victims import RecordEntry, victim_of_record
from harness.bridges.checkpoint import victim_of_checkpoint
from harness.bridges.context import ImportContext
from harness.errors import UserError, nearest
from harness.plan.spec import Victim
from harness.plan.validation import EntryFaults, validate


def resolve_victims(entry: Any, context: ImportContext) -> list[Victim]:
    """Return the victims of one entry, with the seed 0; ``once_per_seed`` sets the study's seeds.

    Raises:
        UserError: the entry, a file or a record is wrong, in one line.
        EntryErrors: keys of the entry are wrong.
    """
    if not isinstance(entry, dict) or not entry.keys() & {"backdoorbench", "checkpoint"}:
        keys = list(entry) if isinstance(entry, dict) else [entry]
        hints = [nearest(str(key), ["backdoorbench", "checkpoint"]) for key in keys]
        hint = next((text for text in hints if "did you mean" in text), "")
        raise UserError(f"needs 'backdoorbench: FOLDER' or 'checkpoint: FILE', not {entry!r}{hint}")
    if "backdoorbench" not in entry:
        return [victim_of_checkpoint(entry, context)]
    faults, base = EntryFaults(), context.base
    with faults.at():
        validate(RecordEntry, entry)
    folders = faults.part("backdoorbench", entry, lambda path: find_records(path, base)) or []
    with faults.at("name"):
        if entry.get("name") is not None and len(folders) > 1:
            raise UserError(f"a name is for one victim, but {len(folders)} records were found")
    victims = []
    for folder in folders:
        with faults.at():
            victims.append(victim_of_record(folder, entry, context))
    faults.raise_all()
    return victims


def once_per_seed(victims: list[Victim], seeds: list[int]) -> list[Victim]:
    """Return each victim once per seed of the study, with labels that differ.

    A victim that is named twice is one victim. The seed is that of its cells; the victim's key does
    not depend on it.
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
