"""Statistics of cells: means with clustered intervals, paired tests, ranks.

Imports numpy, pandas, scipy and ``frame``'s groups and metrics; nothing here formats or draws.
"""
