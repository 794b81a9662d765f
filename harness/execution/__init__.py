"""Runs a study: which tasks are open, in which order, on which device, in which process.

``selection`` decides what is open and ``schedule`` what is next; ``pool``, ``inline`` and ``slurm``
are the launchers; ``run_task`` runs one task and ``cell`` one defense. May import the bridges,
training, evaluation, the store and the plan; the command line imports it.
"""
