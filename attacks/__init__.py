"""Attacks, one file each, named like the file. See README.md.

A file imports ``harness.contract`` and ``harness.toolbox``, nothing else of the project. Defenses
are in ``defenses``, architectures in ``harness.models``.
"""
