"""Bridges to other toolboxes: imported victims, exported records, external defense scripts.

They may import ``harness.training`` and everything below it; ``harness.study`` resolves entries
with them and ``harness.execution`` runs them. ``files`` reads untrusted files, ``backdoorbench``
knows BackdoorBench's records, ``script`` runs its defenses, ``triggers`` are those of imported
victims.
"""
