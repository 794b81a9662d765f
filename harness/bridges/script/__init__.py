"""Defense scripts of BackdoorBench, run unchanged in their own repository and environment.

It may import ``harness.bridges.backdoorbench``, which writes the records that the scripts read, and
everything below; ``shim`` alone imports nothing of ours, as the user's own Python runs it.
"""
