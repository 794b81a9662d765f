"""Triggers of imported victims, one file each; the file name is the name in a study.

They import what attacks import, ``harness.contract`` and ``harness.toolbox``; attacks that also
poison a training set are in ``attacks/``.
"""
