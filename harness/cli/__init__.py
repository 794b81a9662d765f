"""The command line ``defuse``: one module per group of commands, put together in ``main``.

May import every other package, and nothing imports it. Heavy imports are inside the commands.
"""
