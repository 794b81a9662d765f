"""Defenses, one file each, named like the file. See README.md.

A file imports ``harness.contract`` and ``harness.toolbox``, nothing else of the project. Attacks
are in ``attacks``, architectures in ``harness.models``.
"""
