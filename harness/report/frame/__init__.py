"""From plans and records to one DataFrame: a row per cell, its labels, its gate, its groups.

Imports plan and store, and from the report ``stats.means`` alone.
"""
