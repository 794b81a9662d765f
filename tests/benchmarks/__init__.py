"""Benchmarks: ``python -m tests.benchmarks`` prints the table; others are run by hand."""
