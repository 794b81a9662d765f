"""Measurements: ``python -m tests.benchmarks`` for the table, and single ones that are run by hand."""
