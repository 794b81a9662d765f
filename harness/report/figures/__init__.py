"""The figures of a report, one file each, called in a study's ``figures`` by the name of the file.

Each file has one function decorated with ``@figure``. Imports ``frame``,
``stats`` and ``plotting``.
"""
