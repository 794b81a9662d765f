"""Launchers: who runs the tasks, and where."""
