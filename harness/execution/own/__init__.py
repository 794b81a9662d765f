"""Runs a defense of the user's own in a process that holds its model and its budget alone.

``process`` is the worker's side, ``serve`` what the process runs, and ``messages`` what the two
send each other. The defended networks stay in that process and answer from there (``networks``).
``keeper`` ends with it all that it has started; ``confinement`` closes the machine's files to it.
"""
