"""The tables of a report, one file each; a table's output files have the name of its file.

Each file has one function decorated with ``@table``. Imports ``frame``, ``stats`` and ``typeset``.
"""
