"""Reads files of unknown origin safely: weights, pickles, images, and a cache of their inspection.

It may import ``harness.store`` and everything below it; ``harness.bridges.backdoorbench`` and
``harness.bridges.script`` build on it.
"""
