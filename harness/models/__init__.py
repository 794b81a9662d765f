"""Architectures, one file each, named like the file; modules with an underscore are their parts.

Imports the contract alone. ``harness.training.network`` puts the normalisation in front of them.
"""
