"""The figures of a report: one file each, whose name is the one that a study's ``figures`` list uses.

Every file has ``pictures(source)``, which yields what it draws; a figure that the records have
nothing for yields nothing, or a note that says why.
"""
