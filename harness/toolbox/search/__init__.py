"""Searches by gradient: perturbations of images, inverted triggers, steps to nearby weights.

Imports the contract and other modules of the toolbox. Loops over epochs are in
``harness.toolbox.loops``.
"""
