"""Data sets, found and decoded once into memory-mapped uint8 arrays, then copied to a device.

This package imports ``harness.errors`` alone; above it, ``harness.plan`` draws clean budgets,
``harness.training`` applies attacks, and ``harness.evaluation`` predicts on the test set.
"""
