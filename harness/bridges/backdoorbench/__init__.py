"""BackdoorBench's records (arXiv 2206.12654): read as victims, and written from ours.

It may import ``harness.bridges.files``, ``harness.training`` and everything below;
``harness.bridges.script`` runs BackdoorBench's defenses on the records written here.
"""
