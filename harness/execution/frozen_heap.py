"""Imported last by the clean process: what lives by then is left out of garbage collection.

A collection touches every object, and so copies the memory that is shared with the clean process.
"""

import atexit
import gc

gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # at exit, libraries report what was never collected as leaks
